/** Tests single elements: how many a budget allows, and a draw that is fair and the same for the same seed. */
import { describe, expect, test } from 'vitest';
import { elementCount } from '../../../trainer/graph/types.ts';
import { elementCounts, firstElements, mostElementsRank, randomElements } from '../../../trainer/method/elements.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { createRandom, drawn } from '../../../trainer/random.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { openTiny } from '../../support/runs/tiny-training.ts';

const { model } = await openTiny('llama_biased');
const modules = targetModules(model, settingsOf());

test('a rank pays for as many elements as two factors of it have, in every expert', async () => {
  const counts = elementCounts(modules, { rank: 3 });
  for (const { name, weight } of modules) expect(counts.get(name)).toBe(3 * ((weight.shape[0] ?? 0) + (weight.shape[1] ?? 0)));
  const experts = (await openTiny('mixtral')).model.modules.filter(({ kind }) => kind === 'experts');
  const [first] = experts;
  const [out = 0, width = 0] = first?.weight.shape ?? [];
  expect(elementCounts(experts, { rank: 2 }).get(first?.name ?? '')).toBe(2 * (out + 4 * width));
});

test('a rank above what a layer has is refused by name, and the highest is named', () => {
  const most = Math.min(...modules.map(mostElementsRank));
  expect(() => firstElements(modules, { rank: most })).not.toThrow();
  const message = new RegExp(`asks for more elements than .+k_proj \\(512 elements\\).+set r to ${most} or less`);
  expect(() => firstElements(modules, { rank: most + 1 })).toThrow(message);
});

test('elements ascend, are inside their weight, and depend on seed and module alone', () => {
  const [found, again, other] = [5, 5, 6].map(seed => randomElements(modules, { rank: 2 }, seed));
  for (const { name, weight } of modules) {
    const own = [...(found?.get(name) ?? [])];
    expect(own).toEqual([...new Set(own)].sort((a, b) => a - b));
    expect(own.every(place => place >= 0 && place < elementCount(weight.shape))).toBe(true);
    expect(own).toEqual([...(again?.get(name) ?? [])]);
    expect(own).not.toEqual([...(other?.get(name) ?? [])]);
  }
  const last = modules.slice(-1);
  expect(randomElements(last, { rank: 2 }, 5).get(last[0]?.name ?? '')).toEqual(found?.get(last[0]?.name ?? ''));
});

describe('a draw', () => {
  test('of as many as there are is all of them, and of none is empty', () => {
    expect([...drawn(5, 5, createRandom(1))]).toEqual([0, 1, 2, 3, 4]);
    expect([...drawn(0, 5, createRandom(1))]).toEqual([]);
  });

  test('takes every pair equally often', () => {
    const times = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const pair = drawn(2, 4, createRandom(i)).join();
      times.set(pair, (times.get(pair) ?? 0) + 1);
    }
    expect(times.size).toBe(6);
    // The standard deviation of a count with mean 1000 is 29.
    for (const count of times.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
  });
});
