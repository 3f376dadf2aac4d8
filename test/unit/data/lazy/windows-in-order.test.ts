/** Tests batches of samples of similar length within windows of their order, for samples tokenized on demand. */
import { describe, expect, it } from 'vitest';
import { type PlannedBatch, planBatches } from '../../../../trainer/data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../../../trainer/data/batch/batch-settings.ts';
import { planInOrder, WINDOW } from '../../../../trainer/data/batch/plan-in-order.ts';
import type { Parts } from '../../../../trainer/graph/graph.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const recipeFrom = (settings: object) =>
  recipeIn(JSON.stringify({ model: 'm', max_length: 100, group_by_length: true, ...settings }), { fileName: 'recipe.json' });

describe('batches of similar length', () => {
  const lengths = createRandom(9);
  const sizes = Array.from({ length: 3001 }, () => {
    const length = 2 + lengths.below(1 + lengths.below(98));
    return { length, targets: length - 1 };
  });
  const settingsOf = (changes: object, parts?: Parts) => trainBatchSettings(recipeFrom(changes), false, parts);
  const placesIn = (batches: readonly PlannedBatch[]): number[] =>
    batches.flatMap(({ rows }) => rows.flatMap(({ sequences }) => sequences));

  it.each([{}, { data: { shuffle: false } }, { per_device_train_batch_size: 1 }, { per_device_train_batch_size: 7 }])(
    'have each sample once, and within a window of their order (%j)',
    changes => {
      const settings = settingsOf(changes);
      const plan = planInOrder(sizes, settings);
      const inOrder = planInOrder(sizes, { ...settings, grouped: false });
      const window = Math.ceil(WINDOW / settings.batchSize);
      expect(plan.batchesPerEpoch).toBe(planBatches(sizes, settings).batchesPerEpoch);
      for (const epoch of [0, 1]) {
        const batches = plan.epoch(epoch);
        expect(batches).toHaveLength(plan.batchesPerEpoch);
        expect(placesIn(batches).sort((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
        for (const { rows, bucket } of batches) for (const { length } of rows) expect(length).toBeLessThanOrEqual(bucket.tokens);
        if (settings.shuffle) continue;
        // The windows follow the order of the samples, which are not shuffled.
        for (let from = 0; from < batches.length; from += window) {
          const places = placesIn(batches.slice(from, from + window)).sort((a, b) => a - b);
          expect(places).toEqual(placesIn(inOrder.slice?.(epoch, from, from + window) ?? []));
        }
      }
    },
  );

  it('have little padding, and change in each epoch', () => {
    const settings = settingsOf({ per_device_train_batch_size: 8 });
    const plan = planInOrder(sizes, settings);
    const inOrder = planInOrder(sizes, { ...settings, grouped: false });
    expect(plan.paddingShare).toBeLessThan(planBatches(sizes, settings).paddingShare + 0.05);
    expect(plan.paddingShare).toBeLessThan(0.7 * inOrder.paddingShare);
    expect(placesIn(plan.epoch(1))).not.toEqual(placesIn(plan.epoch(0)));
  });

  it('are the same from any starting point', () => {
    const settings = settingsOf({});
    const whole = [0, 1].map(epoch => planInOrder(sizes, settings).epoch(epoch));
    const plan = planInOrder(sizes, settings);
    for (const [epoch, from] of [
      [1, 700],
      [0, 255],
      [1, 0],
      [0, 510],
    ] as const)
      expect(plan.slice?.(epoch, from, from + 3)).toEqual(whole[epoch]?.slice(from, from + 3));
  });

  it('are divided among parts', () => {
    const one = planInOrder(sizes, settingsOf({ per_device_train_batch_size: 8 })).epoch(0);
    const [first, second] = [0, 1].map(own =>
      planInOrder(sizes, settingsOf({ per_device_train_batch_size: 4 }, { count: 2, own })).epoch(0),
    );
    expect(one.map(({ rows }) => rows)).toEqual(first?.map(({ rows }, i) => [...rows, ...(second?.[i]?.rows ?? [])]));
    expect(first?.map(({ bucket }) => bucket)).toEqual(second?.map(({ bucket }) => bucket));
  });
});
