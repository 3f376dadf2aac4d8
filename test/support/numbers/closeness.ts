/** Expects two lists of numbers to be close to each other. */
import { expect } from 'vitest';
import { largestError } from './largest-error.ts';

/** Fails with both lists in the message if they differ by more than `tolerance`. */
export function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number, what = ''): void {
  const error = largestError(actual, expected);
  expect(error, `${what} error ${error}\n got  ${actual.slice(0, 24)}\n want ${expected.slice(0, 24)}`).toBeLessThanOrEqual(tolerance);
}
