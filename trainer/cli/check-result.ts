/** Checks results of jobs, which come from other processes: a worker, which runs native code, or a daemon. */
import { isResultOf, type JobResults } from '../handlers/job-results.ts';
import type { JobKind } from '../protocol/messages/job-messages.ts';
import type { SweepStatus } from '../protocol/run/sweep.ts';
import { CliError } from './cli-error.ts';

/** Returns a value as the result of this kind of job. @throws CliError 'bad-result' if it is not one */
export function checkResult<Kind extends JobKind>(kind: Kind, value: unknown): JobResults[Kind] {
  if (isResultOf(kind, value)) return value;
  throw new CliError(`the process of the job '${kind}' gave a result of another form`, {
    code: 'bad-result',
    hint: 'Check that the daemon has the version of this command',
  });
}

/** @throws CliError if every run of a finished sweep failed */
export function requireFinishedRun({ runs, sweepDir }: SweepStatus): void {
  if (runs.some(({ state }) => state !== 'failed')) return;
  throw new CliError('every run of the sweep failed', {
    code: 'sweep-failed',
    hint: 'Start a new sweep with other values or another recipe.',
    details: { sweepDir, runs },
  });
}
