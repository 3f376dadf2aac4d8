/** The newest events of all jobs with their numbers. Older events are in the files of the runs. */
import { elementAt } from '../../narrow.ts';
import { type EventsResult, type JobEvent, MAX_FRAME_BYTES } from '../../protocol/messages/rpc-messages.ts';

/** Maximum number of events: minutes of a run with ten progress events per second, a few megabytes. */
const MAX_EVENTS = 5000;
/** Maximum length of all events as JSON. An answer with all of them fits in a message even if each character takes three bytes. */
const MAX_CHARACTERS = MAX_FRAME_BYTES / 4;

export class EventRing {
  private readonly events: JobEvent[] = [];
  /** The length of each event. */
  private readonly lengths: number[] = [];
  private characters = 0;
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
    const { length } = JSON.stringify(entry);
    this.events.push(entry);
    this.lengths.push(length);
    this.characters += length;
    // Remove in blocks: moving the whole array for every event would be expensive.
    if (this.events.length >= this.capacity * 1.25) this.removeOldest(this.events.length - this.capacity);
    if (this.characters > MAX_CHARACTERS) this.removeOldest(this.countAbove(MAX_CHARACTERS * 0.8));
    return entry;
  }

  /** The number of oldest events without which the others have at most this length. */
  private countAbove(characters: number): number {
    let [count, left] = [0, this.characters];
    while (left > characters) left -= elementAt(this.lengths, count++);
    return count;
  }

  private removeOldest(count: number): void {
    this.events.splice(0, count);
    for (const length of this.lengths.splice(0, count)) this.characters -= length;
  }

  since(seq: number, epoch: string): EventsResult {
    if (epoch !== this.epoch) return { events: [], complete: false, epoch: this.epoch };
    const oldest = this.newest - this.events.length + 1;
    const from = Math.max(0, seq + 1 - oldest);
    return { events: this.events.slice(from), complete: seq + 1 >= oldest, epoch: this.epoch };
  }
}
