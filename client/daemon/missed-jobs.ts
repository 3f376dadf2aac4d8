/** Reports what happened while no window was open, by comparing the jobs that ran when the last one closed with the current ones. Pure. */
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { asParagraph } from '../../trainer/protocol/text/paragraph.ts';
import { kindText, metricText, shortProgressText } from '../status/status-text.ts';
import { hasEnded, isTraining } from './job-store.ts';

export interface MissedJobNotice {
  readonly message: string;
  readonly severity: 'info' | 'error';
  readonly job: JobRecord;
}

/**
 * Returns one sentence for each longer job that was running when the window closed.
 * @param remembered ids of jobs that were running when last seen
 */
export function missedJobNotices(remembered: readonly string[], jobs: readonly JobRecord[]): readonly MissedJobNotice[] {
  const known = new Set(remembered);
  return jobs.filter(({ id }) => known.has(id)).map(job => ({ ...noticeOf(job), job }));
}

/**
 * The sentence about a job that failed. A daemon that ended takes a job with it, whose worker saves first, so such a training did not fail.
 * @param when ' while you were away', or empty
 */
export function failedText(job: JobRecord, when: string, reason: string): string {
  const what = `${kindText(job)} of ${job.title}`;
  if (job.failure?.code !== 'daemon-ended') return `${what} failed${when}: ${reason}`;
  const next = job.resume === undefined ? '' : ' It can be resumed.';
  return `${what} was cut off${when}, because the trainer daemon ended.${next}`;
}

function noticeOf(job: JobRecord): Omit<MissedJobNotice, 'job'> {
  const what = `${kindText(job)} of ${job.title}`;
  const metric = metricText(job.metrics?.values);
  const numbers = metric === undefined ? '' : ` (${metric})`;
  if (!hasEnded(job)) return { severity: 'info', message: `${what} is still running: ${shortProgressText(job)}${numbers}.` };
  if (job.state === 'failed') {
    const reason = asParagraph(job.failure?.message ?? 'the reason is unknown');
    return { severity: 'error', message: failedText(job, ' while you were away', reason) };
  }
  if (job.state === 'succeeded') return { severity: 'info', message: `${what} finished while you were away${numbers}.` };
  return { severity: 'info', message: `${what} was ${job.state} while you were away${numbers}.` };
}

/** Ids of the jobs that a window remembers when it closes; short jobs are not worth a notice. */
export const idsToRemember = (jobs: readonly JobRecord[]): readonly string[] =>
  jobs.filter(job => !hasEnded(job) && (isTraining(job) || job.kind === 'importance' || job.kind === 'export')).map(({ id }) => id);
