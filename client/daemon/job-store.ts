/** What the client knows of the daemon's jobs: records and events of whichever connection, in one place to listen to. */
import type { JobEvent, JobRecord, JobState } from '../../trainer/protocol/rpc-messages.ts';

const ENDED: readonly JobState[] = ['succeeded', 'stopped', 'aborted', 'failed'];
export const hasEnded = ({ state }: JobRecord): boolean => ENDED.includes(state);

type Listener<T> = (value: T) => void;

export class JobStore {
  readonly #jobs = new Map<string, JobRecord>();
  readonly #onChanged = new Set<Listener<JobRecord>>();
  readonly #onEvent = new Set<Listener<JobEvent>>();

  /** In the order in which they were created. */
  list(): readonly JobRecord[] {
    return [...this.#jobs.values()].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  }

  get(id: string): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  active(): readonly JobRecord[] {
    return this.list().filter(job => !hasEnded(job));
  }

  onChanged(listener: Listener<JobRecord>): () => void {
    this.#onChanged.add(listener);
    return () => void this.#onChanged.delete(listener);
  }

  onEvent(listener: Listener<JobEvent>): () => void {
    this.#onEvent.add(listener);
    return () => void this.#onEvent.delete(listener);
  }

  put(record: JobRecord): void {
    this.#jobs.set(record.id, record);
    for (const listener of this.#onChanged) listener(record);
  }

  /** All that the daemon knows; what it has forgotten goes. */
  replaceAll(records: readonly JobRecord[]): void {
    this.#jobs.clear();
    for (const record of records) this.#jobs.set(record.id, record);
    for (const record of records) for (const listener of this.#onChanged) listener(record);
  }

  /** Numbers come as events alone, so the record is kept up with them. */
  event(event: JobEvent): void {
    const record = this.#jobs.get(event.jobId);
    if (record !== undefined && !hasEnded(record)) this.#jobs.set(record.id, withEvent(record, event.event));
    for (const listener of this.#onEvent) listener(event);
  }

  /** The daemon is gone and will not be started again: what it was doing has ended. */
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
