/** Compares scores of a linear layer's columns with naive ones, on every engine. */
import { describe, expect, test } from 'vitest';
import { namesWhere } from '../../../trainer/catalog/entries.ts';
import { type MeasureName, measureCatalog } from '../../../trainer/catalog/measures.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { scoreModel } from '../../../trainer/importance/score-model.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { describeOn, openOthers } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { model, modules, passSample, samples, source, task, values, weights } from './toy-task.ts';

const linear = required(
  modules.find(({ kind }) => kind === 'linear'),
  'a linear layer',
);
const [out = 0, width = 0] = linear.weight.shape;
const weight = [...required(values[linear.weight.name], linear.weight.name)];
const passed = (await Promise.all(samples.map((_, i) => passSample(i)))).map(pass => valueFor(pass, linear.name));

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
const column = (flat: readonly number[], j: number): number[] => Array.from({ length: out }, (_, i) => flat[i * width + j] as number);
const ofColumns = (score: (j: number) => number): number[] => Array.from({ length: width }, (_, j) => score(j));

const naive: Readonly<Partial<Record<MeasureName, readonly number[]>>> = {
  magnitude: ofColumns(j => Math.sqrt(sum(column(weight, j).map(w => w * w)))),
  wanda: ofColumns(j => {
    const squares = passed.flatMap(({ x }) => x.filter((_, at) => at % width === j)).map(x => x * x);
    return Math.sqrt(sum(squares)) * sum(column(weight, j).map(Math.abs));
  }),
  taylor_row: ofColumns(j => {
    const products = passed.map(({ gradient }) => sum(column(gradient, j).map((g, i) => g * (column(weight, j)[i] as number))));
    return Math.abs(sum(products) / passed.length);
  }),
};

const scoresOf = (engine: Engine, measure: MeasureName, batchSize = 2) =>
  scoreModel({
    measure,
    model,
    modules: [linear],
    unit: 'columns',
    weights,
    seed: 1,
    data: { engine, task, source: source(batchSize), recompute: 'none', exact: false, sweepBytes: 100 },
  });

describeOn(await openOthers(), engine => {
  test.each(['magnitude', 'wanda', 'taylor_row'] as const)('%s', async measure => {
    for (const batchSize of [2, 5]) {
      const { scores } = await scoresOf(engine, measure, batchSize);
      expectClose([...valueFor(scores, linear.name)], naive[measure] ?? [], 2e-6, `batches of ${batchSize}`);
    }
  });

  test('random scores each column, the same for the same seed', async () => {
    const [one, two] = [await scoresOf(engine, 'random'), await scoresOf(engine, 'random')];
    expect(new Set(valueFor(one.scores, linear.name)).size).toBe(width);
    expect(two).toEqual(one);
  });

  describe('a measure of rows', () => {
    test.each(namesWhere(measureCatalog, ({ scoresColumns }) => !scoresColumns))('%s is refused', async measure => {
      await expect(scoresOf(engine, measure)).rejects.toThrow(
        `the measure '${measure}' scores rows alone; for columns use magnitude, wanda, taylor_row, movement or random`,
      );
    });
  });
});
