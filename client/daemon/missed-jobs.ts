/** Reports what happened while no window was open, by comparing the jobs that ran when the last one closed with the current ones. Pure. */
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
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

function noticeOf(job: JobRecord): Omit<MissedJobNotice, 'job'> {
  const what = `${kindText(job)} of ${job.title}`;
  const metric = metricText(job.metrics?.values);
  const numbers = metric === undefined ? '' : ` (${metric})`;
  if (!hasEnded(job)) return { severity: 'info', message: `${what} is still running: ${shortProgressText(job)}${numbers}.` };
  if (job.state === 'failed')
    return { severity: 'error', message: `${what} failed while you were away: ${job.failure?.message ?? 'the reason is unknown'}` };
  if (job.state === 'succeeded') return { severity: 'info', message: `${what} finished while you were away${numbers}.` };
  return { severity: 'info', message: `${what} was ${job.state} while you were away${numbers}.` };
}

/** Ids of the jobs that a window remembers when it closes; short jobs are not worth a notice. */
export const idsToRemember = (jobs: readonly JobRecord[]): readonly string[] =>
  jobs.filter(job => !hasEnded(job) && (isTraining(job) || job.kind === 'importance' || job.kind === 'export')).map(({ id }) => id);
