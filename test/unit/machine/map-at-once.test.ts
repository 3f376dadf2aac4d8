/** Tests that work for many items is done for a few of them at the same time, in order, and ends with the first error. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { mapAtOnce } from '../../../trainer/machine/map-at-once.ts';

test('results have the order of their items, and no more than the given number is in progress', async () => {
  let [now, most] = [0, 0];
  const items = Array.from({ length: 20 }, (_, i) => i);
  const results = await mapAtOnce(items, 3, async (item, index) => {
    most = Math.max(most, ++now);
    await delay(20 - item);
    now--;
    return [item, index];
  });
  expect(results).toEqual(items.map(item => [item, item]));
  expect(most).toBe(3);
  expect(await mapAtOnce([], 3, () => 1)).toEqual([]);
});

test('the first error is the answer, and nothing else is begun', async () => {
  const begun: number[] = [];
  const work = mapAtOnce([0, 1, 2, 3, 4, 5], 2, async item => {
    begun.push(item);
    await delay(1);
    if (item === 1) throw new Error('damaged');
    await delay(5);
  });
  await expect(work).rejects.toThrow('damaged');
  await delay(10);
  expect(begun).toEqual([0, 1]);
});
