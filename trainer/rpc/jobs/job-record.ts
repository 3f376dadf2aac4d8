/** The public record of a job, and its end. */
import { isRecord } from '../../narrow.ts';
import { isTrainingKind } from '../../protocol/messages/job-messages.ts';
import type { JobRecord, JobState } from '../../protocol/messages/rpc-messages.ts';
import { hasCheckpoint } from '../../run/has-checkpoint.ts';
import { isSweepFolder } from '../../run/sweep-folder.ts';
import { explainDeath, type WorkerOutcome } from '../../worker/worker-process.ts';

export type JobEnding = 'stop' | 'abort';

const ENDED: readonly JobState[] = ['succeeded', 'stopped', 'aborted', 'failed'];
export const hasEnded = ({ state }: JobRecord): boolean => ENDED.includes(state);

/** The public record of a job, without the summary of a run, which may be long and is stored in its folder. */
export function publicRecord(record: JobRecord): JobRecord {
  if (record.runDir === undefined) return record;
  const { result: _, ...rest } = record;
  return rest;
}

/** The fields that describe how a job ended. @param ending the request to end it, if there was one */
export function outcomeOf(ending: JobEnding | undefined, outcome: WorkerOutcome): Partial<JobRecord> {
  const { last } = outcome;
  if (last?.type === 'result') {
    // A training that was stopped from outside by a signal reports the stop itself.
    const isStopped = ending === 'stop' || (isRecord(last.value) && last.value.state === 'stopped');
    return { state: ending === 'abort' ? 'aborted' : isStopped ? 'stopped' : 'succeeded', result: last.value };
  }
  if (ending === 'abort') return { state: 'aborted' };
  if (ending === 'stop' && (last === undefined || last.code === 'stopped')) return { state: 'stopped' };
  if (last) return { state: 'failed', failure: { code: last.code, message: last.message, hint: last.hint, isReported: true } };
  return { state: 'failed', failure: explainDeath(outcome) };
}

/** The record of an earlier daemon's job without a known end. Its worker saves and ends when its parent has gone. */
export function asLeft(record: JobRecord): JobRecord {
  if (hasEnded(record)) return record;
  const failure = { code: 'daemon-ended', message: 'the daemon ended while this job was queued or running' };
  return { ...record, state: 'failed', failure, pid: undefined, endedAt: new Date().toISOString(), resume: resumeOffer(record) };
}

/** The offer to resume a run that has a checkpoint. */
export function resumeOffer({ kind, runDir }: JobRecord): JobRecord['resume'] {
  if (runDir === undefined || !isTrainingKind(kind)) return undefined;
  return hasCheckpoint(runDir) || isSweepFolder(runDir) ? { runDir } : undefined;
}
