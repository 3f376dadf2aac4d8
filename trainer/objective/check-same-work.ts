/** Checks that all processes of a run divide the same work. */
import type { Ranks } from '../job/ranks.ts';
import { RunError } from '../run-error.ts';

/** @param keys that identify the work of this process @throws RunError 'ranks-differ': otherwise their communication would not match */
export function checkSameWork(ranks: Ranks | undefined, keys: readonly string[]): void {
  if (!ranks || ranks.all(keys).every(others => others.join() === keys.join())) return;
  throw new RunError(
    'ranks-differ',
    'the processes of the run have different samples or models',
    'Start all processes with the same recipe, data, model and version of Rowtune',
  );
}
