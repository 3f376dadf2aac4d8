/** Tests answers that are shared for a while. */
import { expect, test, vi } from 'vitest';
import { Recent } from '../../../trainer/rpc/recent.ts';

test('callers share one request, and its answer for a while, even a failure', async () => {
  let asked = 0;
  const recent = new Recent(60_000, async key => {
    asked++;
    if (key === 'bad') throw new Error('no');
    return key.length;
  });
  expect(await Promise.all([recent.get('four'), recent.get('four')])).toEqual([4, 4]);
  expect(await recent.get('four')).toBe(4);
  expect(asked).toBe(1);
  await expect(recent.get('bad')).rejects.toThrow('no');
  await expect(recent.get('bad')).rejects.toThrow('no');
  expect(asked).toBe(2);
});

test('a thousand answers are kept, the newest ones', async () => {
  let asked = 0;
  const kept = new Recent(60_000, async () => ++asked);
  const ask = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await kept.get(`key ${i}`);
  };
  await ask(0, 1024);
  await ask(0, 1024);
  expect(asked).toBe(1024);
  await ask(1024, 1025);
  await ask(1, 1025);
  expect(asked).toBe(1025);
  await ask(0, 1);
  expect(asked).toBe(1026);
});

test('answers whose time is over are dropped', async () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const kept = new Recent(1000, async () => 1);
  for (const key of ['a', 'b', 'c']) await kept.get(key);
  expect(kept.size).toBe(3);
  nowMs = 1000;
  await kept.get('d');
  expect(kept.size).toBe(1);
  vi.restoreAllMocks();
});
