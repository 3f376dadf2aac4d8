/** Tests the model card of an export: the Hub's metadata, results with their uncertainty, and no paths of the author's machine. */
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { type CardFacts, modelCard, wilson } from '../../../trainer/artifact/model-card.ts';
import { hubTaskOf, objectiveCatalog } from '../../../trainer/catalog/objectives.ts';

const facts: CardFacts = {
  name: 'spam',
  base: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  license: 'apache-2.0',
  method: 'Sparse rows (SPSFT)',
  task: 'Language model',
  hubTask: hubTaskOf(objectiveCatalog.causal_lm),
  recipe: 'model: x\n',
  data: [{ name: 'train.jsonl', bytes: 1000, sha256: 'ab' }],
  results: [
    { name: 'Loss', before: 2.5, after: 1.25 },
    { name: 'Accuracy', before: 0.5, after: 0.8, counted: 100 },
  ],
  samples: 100,
  trainable: 1000,
  trainableShare: 0.05,
  steps: 10,
  seconds: 90,
  peakBytes: 2 ** 30,
  engine: 'portable',
  createdBy: 'rowtune 1',
};

test('metadata is YAML that the Hub reads', () => {
  const card = modelCard(facts, { format: 'gguf', type: 'Q4_K_M', commands: { Ollama: 'ollama run x' }, verified: ['Same.'] });
  expect(parse(/^---\n(.*?)\n---/s.exec(card)?.[1] ?? '')).toEqual({
    base_model: facts.base,
    base_model_relation: 'quantized',
    license: 'apache-2.0',
    library_name: 'gguf',
    pipeline_tag: 'text-generation',
    tags: ['rowtune'],
  });
  for (const part of [
    'Exported as: GGUF (Q4_K_M)',
    '- Ollama: `ollama run x`',
    '| Loss | 2.500 | 1.250 |',
    '1,000 (5.0% of the model)',
    '`ab`',
    '- Same.',
  ])
    expect(card).toContain(part);
});

test.each([
  [
    'embedding',
    'merged',
    'sentence-transformers',
    ['sentence-transformers', 'sentence-similarity', 'feature-extraction', 'dense', 'rowtune'],
  ],
  ['reranker', 'merged', 'sentence-transformers', ['sentence-transformers', 'cross-encoder', 'reranker', 'rowtune']],
  ['embedding', 'peft', 'peft', ['rowtune']],
  ['image_classification', 'merged', 'transformers', ['rowtune']],
] as const)('%s as %s is loaded by the library of its task, where there is one', (task, format, library, tags) => {
  const card = modelCard({ ...facts, hubTask: hubTaskOf(objectiveCatalog[task]) }, { format, type: undefined, verified: [] });
  expect(parse(/^---\n(.*?)\n---/s.exec(card)?.[1] ?? '')).toMatchObject({ library_name: library, tags });
});

test('a model that another library loads names that one', () => {
  const card = modelCard(facts, { format: 'merged', type: undefined, library: 'timm', verified: [] });
  expect(parse(/^---\n(.*?)\n---/s.exec(card)?.[1] ?? '')).toMatchObject({ library_name: 'timm', tags: ['timm', 'rowtune'] });
});

test('shares have an interval: that of Wilson, as R and statsmodels give it', () => {
  // proportion_confint(80, 100, method='wilson')
  const [low, high] = wilson(0.8, 100);
  expect(low).toBeCloseTo(0.7111708, 6);
  expect(high).toBeCloseTo(0.8666331, 6);
  expect(modelCard(facts, { format: 'merged', type: undefined, verified: [] })).toContain(
    '| Accuracy | 50.0% [40.4%, 59.6%] | 80.0% [71.1%, 86.7%] |',
  );
});

test('a base on a disk is named without its folder, and no license is invented', () => {
  const card = modelCard(
    { ...facts, base: '/data/someone/base.gguf', license: undefined },
    { format: 'peft', type: undefined, verified: [] },
  );
  expect(card).toContain('base.gguf, tuned with');
  expect(card).not.toContain('someone');
  expect(card).not.toMatch(/^license|^base_model/m);
});
