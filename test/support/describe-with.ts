/** Declares tests that need something that not every machine has. */
import { describe, test } from 'vitest';

/** Declares tests that receive what they need. If it is missing, one skipped test reports that. */
export function describeWith<T>(title: string, needed: T | undefined, missing: string | undefined, declare: (needed: T) => void): void {
  if (needed === undefined) test.skip(`${title} (skipped: ${missing})`);
  else describe(title, () => declare(needed));
}
