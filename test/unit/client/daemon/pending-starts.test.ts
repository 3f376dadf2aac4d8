/** Tests that pressing Train twice before the first press is answered starts one run. */
import { expect, test } from 'vitest';
import { PendingStarts } from '../../../../client/daemon/pending-starts.ts';

/** Creates a start that is answered when the test says so. */
function heldStart() {
  const ids: string[] = [];
  let answer = (): void => undefined;
  const answered = new Promise<void>(resolve => {
    answer = resolve;
  });
  const start = async (id: string): Promise<string> => {
    ids.push(id);
    await answered;
    return id;
  };
  return { ids, start, answer };
}

test('equal starts at the same time share an id, and a later one gets its own', async () => {
  const starts = new PendingStarts();
  const held = heldStart();
  const both = Promise.all([starts.run({ text: 'r: 8' }, held.start), starts.run({ text: 'r: 8' }, held.start)]);
  held.answer();
  const [first, second] = await both;
  expect(second).toBe(first);
  expect(await starts.run({ text: 'r: 8' }, held.start)).not.toBe(first);
  expect(held.ids.length).toBe(3);
});

test('a recipe that was changed in between is another start', async () => {
  const starts = new PendingStarts();
  const held = heldStart();
  const both = Promise.all([starts.run({ text: 'r: 8' }, held.start), starts.run({ text: 'r: 4' }, held.start)]);
  held.answer();
  expect(new Set(await both).size).toBe(2);
});

test('a start that fails can be tried again with another id', async () => {
  const starts = new PendingStarts();
  const seen: string[] = [];
  const fail = async (id: string): Promise<never> => {
    seen.push(id);
    throw new Error('no daemon');
  };
  for (let i = 0; i < 2; i++) await expect(starts.run('one', fail)).rejects.toThrow('no daemon');
  expect(new Set(seen).size).toBe(2);
});
