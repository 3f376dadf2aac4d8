/** Offers the command that continues a failed or stopped run, as the hint of its failure. */
import { isOneOf } from '../catalog/entries.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { describeFailure, RunError, type RunErrorCode } from '../run-error.ts';
import { hasCheckpoint } from './has-checkpoint.ts';

/** Codes of failures of the environment, which can be repaired. */
const REPAIRABLE = ['disk-full', 'disk-error', 'no-permission', 'rank-lost', 'out-of-memory'] as const satisfies readonly RunErrorCode[];

/** The failure of a run, with the command that continues it if that helps. A run that is stopped after its first update has a result instead. */
export function offerContinuation(error: unknown, runDir: string): unknown {
  const { code, message, hint } = describeFailure(error).event;
  if (code !== 'stopped' && !isOneOf(REPAIRABLE, code)) return error;
  const next = `Continue from the last checkpoint with: rowtune resume ${shellWord(runDir)}`;
  if (hint?.includes(next)) return error;
  if (!hasCheckpoint(runDir))
    return new RunError(code, message, hint ?? 'It has no checkpoint yet, so nothing was saved: start it again', { cause: error });
  return new RunError(code, message, hint === undefined ? next : `${hint}. ${next}`, { cause: error });
}
