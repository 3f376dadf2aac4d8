/** Compares row scores of the tiny Llama for every measure with PyTorch (1e-4 relative to the layer's largest), at once and in sweeps. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openModel } from '../../trainer/hub/open-model.ts';
import type { MeasureName } from '../../trainer/catalog/measures.ts';
import { heldWeights } from '../../trainer/importance/held-weights.ts';
import { scoreModel, sweepsOf } from '../../trainer/importance/score-model.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { placeTrained } from '../../trainer/method/placement.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { WeightSource } from '../../trainer/model/weight-source.ts';
import type { WeightStorage } from '../../trainer/model/weight-storage.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import { required } from '../../trainer/narrow.ts';
import { casesOn, describeOn, openAll, openOthers, openReference } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const trace = readGoldenJson(
  'llama_tuning_trace.json',
  z.object({
    input_ids: z.object({ shape: z.tuple([z.number(), z.number()]), data: z.array(z.number()) }),
    row_importance: z.record(z.string(), z.record(z.string(), z.array(z.number()))),
  }),
);
const folder = await openModel(join(import.meta.dirname, 'llama'));
afterAll(() => folder.weights.close());
const model = causalModel(folder.config);
const modules = targetModules(model, { targetModules: ['all-linear'], freeze: [] });
const [rows, tokens] = trace.input_ids.shape;
const whole = Array.from({ length: rows }, (_, row) => ({
  ids: Int32Array.from(trace.input_ids.data.slice(row * tokens, (row + 1) * tokens)),
  train: Uint8Array.from({ length: tokens }, (_, i) => Math.min(i, 1)),
}));

const sourceOf = (batchSize: number, sequences = whole) => {
  const plan = createBatchPlan(sequences, {
    batchSize,
    maxLength: tokens,
    packing: false,
    shuffle: false,
    grouped: true,
    seed: 0,
    maxBuckets: 1,
    multipleOf: 4,
    targetMultiple: 1,
    maxTargetSizes: 1,
  });
  return tokenSource({ plan, sequences, padId: 0, packed: false });
};

const cases: { measure: MeasureName; expected: string; batchSize: number; exact: boolean }[] = [
  { measure: 'magnitude', expected: 'magnitude_l2', batchSize: 2, exact: false },
  { measure: 'taylor', expected: 'taylor_sum_abs', batchSize: 2, exact: false },
  { measure: 'taylor', expected: 'taylor_sum_abs', batchSize: 1, exact: true },
  { measure: 'taylor_row', expected: 'taylor_abs_sum', batchSize: 1, exact: false },
];

describeOn(await openAll(), (engine, name) => {
  test.each(casesOn(name, cases, ({ batchSize }) => batchSize === 2))('$measure, batches of $batchSize, exact $exact', async ({ measure, expected, batchSize, exact }) => {
    const data = { engine, task: causalTask(model), source: sourceOf(batchSize), recompute: 'cheap' as const, exact, sweepBytes: 100_000 };
    const { scores } = await scoreModel({ measure, model, modules, weights: folder.weights, seed: 0, data });
    for (const [module, reference] of Object.entries(trace.row_importance)) {
      const wanted = required(reference[expected], expected);
      const largest = Math.max(...wanted);
      scores.get(module)?.forEach((score, row) => {
        expect(Math.abs(score - (wanted[row] as number)) / largest).toBeLessThan(1e-4);
      });
      expect(scores.get(module)).toHaveLength(wanted.length);
    }
  });
});

describe('norms of each head', async () => {
  const qwen = await openModel(join(import.meta.dirname, 'qwen3'));
  afterAll(() => qwen.weights.close());
  const decoder = causalModel(qwen.config);
  const norms = decoder.modules.filter(({ name }) => /[qk]_norm$/.test(name));
  const ofLength = (count: number) => ({
    ids: Int32Array.from({ length: count }, (_, i) => 3 + i),
    train: Uint8Array.from({ length: count }, (_, i) => Math.min(i, 1)),
  });
  const sequences = [ofLength(6), ofLength(9)];
  const scoresOf = async (measure: MeasureName, maxLength: number, multipleOf: number) => {
    const sizes = { maxBuckets: 1, targetMultiple: 1, maxTargetSizes: 1 };
    const plan = createBatchPlan(sequences, { batchSize: 2, maxLength, packing: false, shuffle: false, grouped: true, seed: 0, multipleOf, ...sizes });
    const source = tokenSource({ plan, sequences, padId: 0, packed: false });
    const data = { engine: await openReference(), task: causalTask(decoder), source, recompute: 'cheap' as const, exact: false, sweepBytes: 1e6 };
    return (await scoreModel({ measure, model: decoder, modules: norms, weights: qwen.weights, seed: 0, data })).scores;
  };

  test.each<MeasureName>(['wanda', 'activation', 'taylor', 'taylor_row'])('%s does not count padding', async measure => {
    const [tight, padded] = [await scoresOf(measure, 12, 4), await scoresOf(measure, 32, 32)];
    expect([...tight.keys()]).toHaveLength(4);
    for (const [module, scores] of tight)
      scores.forEach((score, row) => {
        expect(Math.abs((padded.get(module)?.[row] as number) - score) / Math.max(...scores), module).toBeLessThan(1e-4);
      });
  });
});

test('sweeps cover every module once, from the last to the first, within the limit of bytes', () => {
  const sweeps = sweepsOf(modules, 100_000);
  expect(sweeps.length).toBeGreaterThan(1);
  expect(sweeps.flat()).toEqual([...modules].reverse());
});

describe('what the loss reads itself', () => {
  const tiedFolder = openModel(join(import.meta.dirname, 'llama3_tied'));
  afterAll(async () => (await tiedFolder).weights.close());

  test.each([
    ['llama', 'lm_head'],
    ['llama3_tied', 'model.embed_tokens'],
  ])('%s: %s is scored by its whole gradient, or not at all', async (name, target) => {
    const engine = await openReference();
    const { config, weights } = name === 'llama' ? folder : await tiedFolder;
    const own = causalModel(config);
    const wanted = own.modules.filter(module => module.name === target);
    const small = whole.map(({ ids, train }) => ({ ids: ids.map(id => id % own.vocabularySize), train }));
    const params = { model: own, modules: wanted, weights, seed: 0 };
    const data = (batchSize: number) => ({
      engine,
      task: causalTask(own),
      source: sourceOf(batchSize, small),
      recompute: 'none' as const,
      exact: false,
      sweepBytes: 1e6,
    });
    const { scores } = await scoreModel({ ...params, measure: 'taylor_row', data: data(2) });
    const { scores: bounds } = await scoreModel({ ...params, measure: 'taylor', data: data(2) });
    // |Σ g·w| is at most Σ |g·w|, and nonzero where the loss depends on the row.
    scores.get(target)?.forEach((score, row) => {
      expect(score).toBeLessThanOrEqual((bounds.get(target)?.[row] as number) * (1 + 1e-4) + 1e-9);
    });
    expect(Math.max(...(scores.get(target) ?? []))).toBeGreaterThan(0);
    for (const measure of ['fisher', 'wanda', 'activation'] as const)
      await expect(scoreModel({ ...params, measure, data: data(2) })).rejects.toThrow(new RegExp(`${target} is read by the loss itself`));
  });
});

describe('weights with fewer bits', async () => {
  const engines = [{ name: 'portable, cpu', engine: await openReference() }, ...(await openOthers())];
  const untrained = { method: 'full', trainables: [], initial: () => [] } as const;
  const storageOf = (dtype: 'float32' | 'bfloat16', quantize: 'none' | 'int8' | 'nf4') => {
    const { storage } = placeTrained(untrained, model, { dtype, quantize });
    if (!storage) throw new Error('nothing is held in fewer bits');
    return storage;
  };

  describeOn(engines, engine => {
    const scoresOf = async (measure: MeasureName, storage?: WeightStorage, weights: WeightSource = folder.weights) => {
      const data = { engine, task: causalTask(model), source: sourceOf(2), recompute: 'cheap' as const, exact: false, sweepBytes: 1e6, storage };
      return (await scoreModel({ measure, model, modules, weights, seed: 0, data })).scores;
    };
    /** Returns the largest difference of a module's scores, relative to its largest score. */
    const differences = (one: ReadonlyMap<string, Float32Array>, other: ReadonlyMap<string, Float32Array>): number[] =>
      [...one].map(([module, scores]) => {
        const among = other.get(module) ?? [];
        return Math.max(...scores.map((score, row) => Math.abs(score - (among[row] ?? Number.NaN)))) / Math.max(...scores);
      });
    /** Returns the values that a storage represents, as the engine reads them. */
    const asHeld = async (storage: WeightStorage): Promise<WeightSource> => {
      const graph = new Graph();
      const outputs = Object.fromEntries(model.parameters.map(spec => [spec.name, graph.cast(storage.weight(graph, spec), 'float32')]));
      const session = await engine.compile(assemble({ weights: { graph, outputs, effects: [] } }));
      await session.load(heldWeights(model, folder.weights, storage));
      const values = await session.run('weights', {});
      await session.dispose();
      return {
        tensors: folder.weights.tensors,
        readFloat32: async tensor => {
          const found = values[tensor];
          if (!(found instanceof Float32Array)) throw new Error(`no ${tensor}`);
          return found;
        },
      };
    };

    test.each(['int8', 'nf4'] as const)('%s: the scores of the numbers that it stands for', async quantize => {
      const storage = storageOf('float32', quantize);
      const [held, plain] = [await scoresOf('taylor_row', storage), await scoresOf('taylor_row', undefined, await asHeld(storage))];
      for (const difference of differences(plain, held)) expect(difference).toBeLessThan(1e-4);
    });

    test.each<MeasureName>(['taylor_row', 'taylor', 'activation'])('bfloat16: %s within 8 bits', async measure => {
      const storage = storageOf('bfloat16', 'none');
      const [held, plain] = [await scoresOf(measure, storage), await scoresOf(measure, undefined, await asHeld(storage))];
      for (const difference of differences(plain, held)) expect(difference).toBeLessThan(0.05);
    });

    test('a measure of weight gradients refuses quantized weights', async () => {
      await expect(scoresOf('taylor', storageOf('float32', 'nf4'))).rejects.toThrow(/held as nf4, and a quantized weight has no gradient/);
    });
  });
});
