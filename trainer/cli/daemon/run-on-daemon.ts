/** Follows a job of a daemon: shows its events as if it ran here, and lets Ctrl-C stop and save it. */

import { existsSync } from 'node:fs';
import type { JobFailure, JobRecord } from '../../protocol/messages/rpc-messages.ts';
import { counted } from '../../protocol/text/format.ts';
import type { DaemonClient } from '../../rpc/connection/connect.ts';
import { hasCheckpoint } from '../../run/has-checkpoint.ts';
import { CliError } from '../cli-error.ts';
import { aborted, STOPPING_OR_ABORT, show } from '../run-worker.ts';
import type { Terminal } from '../show/terminal.ts';

export interface FollowParams {
  readonly client: DaemonClient;
  /** The record of the job when it was started or found. */
  readonly job: JobRecord;
  readonly terminal: Terminal;
  /** The effect of Ctrl-C. 'stop' saves and ends the job, and a second Ctrl-C aborts it; 'leave' lets it continue. */
  readonly onInterrupt: 'stop' | 'leave';
  readonly resumeCommand?: string;
}

/** Signals to handle. Closing the terminal does not affect the job, which belongs to the daemon. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Resolves with the value of the job's result; undefined if Ctrl-C left the job running.
 * @throws CliError with the job's code, message and hint; with status 130 if it was aborted
 */
export async function followJob({ client, job, terminal, onInterrupt, resumeCommand }: FollowParams): Promise<unknown> {
  const { id } = job;
  let leave = (): void => undefined;
  const left = new Promise<undefined>(resolve => {
    leave = () => resolve(undefined);
  });
  let count = 0;
  const onSignal = (): void => {
    count++;
    if (onInterrupt === 'leave') leave();
    else if (count === 1) {
      terminal.say('info', STOPPING_OR_ABORT);
      client.request('stopJob', { id }).catch(() => undefined);
    } else client.request('abortJob', { id }).catch(() => undefined);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const unlisten = client.onProgress(id, event => show(event, terminal));
  try {
    if (job.state === 'queued') await printQueued(client, terminal);
    const ended = await Promise.race([client.request('waitForJob', { id, progressToken: id }), left]);
    return ended === undefined ? undefined : resultOf(ended, resumeCommand);
  } finally {
    unlisten();
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    terminal.progress.end();
  }
}

async function printQueued(client: DaemonClient, terminal: Terminal): Promise<void> {
  const { jobs } = await client.request('daemonStatus', {});
  terminal.say('info', `waiting for ${counted(jobs.running + jobs.queued - 1, 'other job')} of the daemon`);
}

function resultOf({ state, result, failure, kind, runDir = '' }: JobRecord, command: string | undefined): unknown {
  // A folder on another machine may have checkpoints.
  const resumeCommand = kind !== 'sweep' && existsSync(runDir) && !hasCheckpoint(runDir) ? undefined : command;
  if (state === 'aborted') throw aborted({ resumeCommand });
  if (failure !== undefined) throw failed(failure, resumeCommand);
  if (result === undefined && state === 'succeeded')
    throw new CliError('the job succeeded, but its result is no longer stored', { code: 'result-gone' });
  if (result === undefined) throw new CliError('the job was stopped before it began', { code: 'stopped' });
  return result;
}

/** The error of a failed job. As for a job in a process of this command, one that reported its failure has said whether to resume. */
export function failed({ code, message, hint, isReported = false }: JobFailure, resumeCommand: string | undefined): CliError {
  const next = resumeCommand === undefined || isReported ? undefined : `Resume from the last checkpoint, if there is one: ${resumeCommand}`;
  return new CliError(message, { code, hint: [hint, next].filter(Boolean).join('\n') || undefined });
}
