/** The newest events of all jobs with their numbers. Older events are in the files of the runs. */
import type { EventsResult, JobEvent } from '../../protocol/messages/rpc-messages.ts';

/** Maximum number of events: minutes of a run with ten progress events per second, a few megabytes. */
const MAX_EVENTS = 5000;

export class EventRing {
  private readonly events: JobEvent[] = [];
  private readonly capacity: number;
  private readonly epoch: string;
  private newest = 0;

  /** @param epoch identifies this start of the daemon: event numbers of another start are meaningless here */
  constructor(epoch: string, capacity = MAX_EVENTS) {
    this.epoch = epoch;
    this.capacity = capacity;
  }

  /** Number of the newest event; 0 before the first. */
  get seq(): number {
    return this.newest;
  }

  add(jobId: string, event: JobEvent['event']): JobEvent {
    const entry = { seq: ++this.newest, jobId, event };
    this.events.push(entry);
    // Remove in blocks: moving the whole array for every event would be expensive.
    if (this.events.length >= this.capacity * 1.25) this.events.splice(0, this.events.length - this.capacity);
    return entry;
  }

  since(seq: number, epoch: string): EventsResult {
    if (epoch !== this.epoch) return { events: [], complete: false, epoch: this.epoch };
    const oldest = this.newest - this.events.length + 1;
    const from = Math.max(0, seq + 1 - oldest);
    return { events: this.events.slice(from), complete: seq + 1 >= oldest, epoch: this.epoch };
  }
}
