/** Answers that are shared for a while. */
import { expect, test } from 'vitest';
import { Recent } from '../../../trainer/rpc/recent.ts';

test('callers at the same time share one question, and so do later ones for a while; a failure too', async () => {
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

test('only the newest keys are kept', async () => {
  let asked = 0;
  const kept = new Recent(60_000, async () => ++asked);
  for (let i = 0; i < 17; i++) await kept.get(`key ${i}`);
  await kept.get('key 16');
  expect(asked).toBe(17);
  await kept.get('key 0');
  expect(asked).toBe(18);
});
