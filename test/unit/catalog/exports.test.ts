/** Tests the export formats offered, and the Hub's name of the task, by what the model does. */
import { describe, expect, test } from 'vitest';
import { exportFormats, formatsFor } from '../../../trainer/catalog/artifacts.ts';
import { hubTaskOf, objectiveCatalog, objectiveNames } from '../../../trainer/catalog/objectives.ts';

describe('export formats', () => {
  test.each(objectiveNames)('of %s include those for its kind of model', task => {
    const formats = formatsFor(task);
    expect(formats).toEqual(expect.arrayContaining(['merged', 'adapter', 'peft']));
    const generates = objectiveCatalog[task].model === 'causal';
    for (const [format, isOffered] of [['gguf', generates] as const, ['gguf-adapter', generates] as const, ['onnx', !generates] as const])
      expect(formats.includes(format), format).toBe(isOffered);
  });
  test('of a run with an unknown task are all formats', () => expect(formatsFor(undefined)).toEqual(exportFormats));
});

test('the hub has a name for every task', () => {
  const names = Object.fromEntries(objectiveNames.map(task => [task, hubTaskOf(objectiveCatalog[task]).pipeline]));
  expect(names).toMatchObject({
    causal_lm: 'text-generation',
    kto: 'text-generation',
    reward: 'text-classification',
    sequence_regression: 'text-classification',
    reranker: 'text-ranking',
    embedding: 'sentence-similarity',
    token_classification: 'token-classification',
    image_classification: 'image-classification',
  });
});
