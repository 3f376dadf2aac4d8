/** Tests that need something which not every machine has. */
import { describe, test } from 'vitest';

/** Declares tests with what they need in hand. Where it is missing, one skipped test says so. */
export function describeWith<T>(title: string, needed: T | undefined, missing: string | undefined, declare: (needed: T) => void): void {
  if (needed === undefined) test.skip(`${title} (skipped: ${missing})`);
  else describe(title, () => declare(needed));
}
