/** The daemon's jobs as the client knows them: records and events of all connections, in one place with listeners. */
import type { JobEvent, JobRecord, JobState } from '../../trainer/protocol/messages/rpc-messages.ts';

const ENDED: readonly JobState[] = ['succeeded', 'stopped', 'aborted', 'failed'];
export const hasEnded = ({ state }: JobRecord): boolean => ENDED.includes(state);
export const isTraining = ({ kind }: Pick<JobRecord, 'kind'>): boolean => kind === 'train' || kind === 'resume';
/** True if the job creates or changes runs: its own, or those of its sweep. */
export const writesRuns = (job: Pick<JobRecord, 'kind'>): boolean => isTraining(job) || job.kind === 'sweep';

type Listener<T> = (value: T) => void;

export class JobStore {
  private readonly jobs = new Map<string, JobRecord>();
  private readonly changeListeners = new Set<Listener<JobRecord>>();
  private readonly eventListeners = new Set<Listener<JobEvent>>();

  /** All jobs, in order of creation. */
  list(): readonly JobRecord[] {
    return [...this.jobs.values()].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  }

  get(id: string): JobRecord | undefined {
    return this.jobs.get(id);
  }

  active(): readonly JobRecord[] {
    return this.list().filter(job => !hasEnded(job));
  }

  onChanged(listener: Listener<JobRecord>): () => void {
    this.changeListeners.add(listener);
    return () => void this.changeListeners.delete(listener);
  }

  onEvent(listener: Listener<JobEvent>): () => void {
    this.eventListeners.add(listener);
    return () => void this.eventListeners.delete(listener);
  }

  put(record: JobRecord): void {
    this.jobs.set(record.id, record);
    for (const listener of this.changeListeners) listener(record);
  }

  /** Replaces all jobs with those that the daemon knows. */
  replaceAll(records: readonly JobRecord[]): void {
    this.jobs.clear();
    for (const record of records) this.jobs.set(record.id, record);
    for (const record of records) for (const listener of this.changeListeners) listener(record);
  }

  /** Updates a record from an event, because progress arrives only as events. */
  event(event: JobEvent): void {
    const record = this.jobs.get(event.jobId);
    if (record !== undefined && !hasEnded(record)) this.jobs.set(record.id, withEvent(record, event.event));
    for (const listener of this.eventListeners) listener(event);
  }

  /** Marks running jobs as ended: the daemon is gone and will not be restarted. */
  daemonEnded(reason: string, at: string, jobs = this.active()): void {
    for (const record of jobs)
      this.put({ ...record, state: 'failed', pid: undefined, endedAt: at, failure: { code: 'daemon-ended', message: reason } });
  }
}

function withEvent(record: JobRecord, event: JobEvent['event']): JobRecord {
  if (event.type === 'phase') return { ...record, phase: event.name };
  if (event.type === 'progress') return { ...record, progress: event };
  if (event.type === 'metrics') return { ...record, metrics: { step: event.step, values: { ...record.metrics?.values, ...event.values } } };
  return record;
}
