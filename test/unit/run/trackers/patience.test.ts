/** Tests the time limit for an answer: computing on the thread does not count toward it. */
import { expect, test, vi } from 'vitest';
import { startAnswerTimeout } from '../../../../trainer/run/trackers/patience.ts';

test('a timeout fires once, after the time without a sign, and never after a stop', () => {
  vi.useFakeTimers();
  let ends = 0;
  const patience = startAnswerTimeout(1000, () => ends++);
  vi.advanceTimersByTime(750);
  patience.renew();
  vi.advanceTimersByTime(750);
  expect(ends).toBe(0);
  vi.advanceTimersByTime(5000);
  expect(ends).toBe(1);
  startAnswerTimeout(1000, () => ends++).stop();
  vi.advanceTimersByTime(5000);
  expect(ends).toBe(1);
  vi.useRealTimers();
});

test('a blocked thread counts as one tick, however long it is blocked', async () => {
  let ended = false;
  const patience = startAnswerTimeout(60, () => {
    ended = true;
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  // Due timers fire before this.
  await new Promise(resolve => setImmediate(resolve));
  await new Promise(resolve => setImmediate(resolve));
  expect(ended).toBe(false);
  patience.stop();
});
