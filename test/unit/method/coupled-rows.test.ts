/** Tests SPSFT with dependencies: the elements and their assembled gradient match, in every family. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attachSpsft } from '../../../trainer/method/spsft/attach.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { causalModel, loadModel } from '../../../trainer/model/load-model.ts';
import { firstRows } from '../../../trainer/selection.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { llama3Of8b } from '../../support/models/llama-sizes.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';

const modelOf = (name: string) =>
  loadModel(readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json')), {
    imageSize: [32, 32],
  });

describe.each(['llama', 'qwen3', 'bert', 'deberta', 'vit', 'resnet'])('%s', name => {
  const model = modelOf(name);
  const settings = settingsOf({ budget: { ratio: 0.25 }, dependencies: true });
  const { trainables } = attachSpsft(model, settings, scattered(model, 'spsft', settings));

  test('columns are trained with the rows, and each number has one place', () => {
    expect(trainables.some(({ elements }) => elements)).toBe(true);
    const names = trainables.map(trainable => trainable.name);
    expect(new Set(names).size).toBe(names.length);
    for (const { elements, shape } of trainables) if (elements) expect(shape).toEqual([new Set(elements.indices).size]);
  });

  test('the flat gradient of rows and columns is picked apart into the elements', () => {
    for (const { elements, cross, variable } of trainables) {
      if (!elements || !cross) continue;
      const width = variable.shape[1] as number;
      const wholeGradient = (row: number, column: number): number => row * width + column;
      const joined = [
        ...[...cross.rows.indices].flatMap(row => Array.from({ length: width }, (_, column) => wholeGradient(row, column))),
        ...Array.from({ length: variable.shape[0] as number }, (_, row) => row).flatMap(row =>
          [...cross.columns.indices].map(column => wholeGradient(row, column)),
        ),
      ];
      expect([...cross.places.indices].map(place => joined[place])).toEqual([...elements.indices]);
    }
  });

  test('norm entries go by rows', () => {
    const norms = model.modules.filter(({ kind }) => kind === 'norm').map(({ weight }) => weight.name);
    const trained = trainables.filter(trainable => norms.includes(trainable.name));
    expect(trained.length).toBeGreaterThan(0);
    for (const { rows } of trained) expect(rows?.indices.length).toBeGreaterThan(0);
  });
});

test('sizes of an 8B model are known without its places', () => {
  const model = causalModel(llama3Of8b);
  const settings = settingsOf({ budget: { r: 64 }, dependencies: true });
  const { trainables } = attachSpsft(model, settings, firstRows(targetModules(model, settings), settings.budget));
  const [up] = trainables.filter(({ name }) => name === 'model.layers.3.mlp.up_proj.weight');
  // 64 rows of 4096, and 64 columns of the other rows.
  expect(up?.shape).toEqual([64 * 4096 + (14336 - 64) * 64]);
});
