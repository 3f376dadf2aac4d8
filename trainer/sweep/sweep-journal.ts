/**
 * The state of a sweep whose runs are trained by several workers: a pure function of its journal, the ordered list of all decisions and
 * reports. Every worker reads the same journal, so all know the same decisions, and a continued sweep repeats them. Decisions follow the
 * order in which results arrived, as in the ASHA paper.
 */
import { z } from 'zod';
import { elementAt, required } from '../narrow.ts';
import { type ScheduleSettings, type Segment, SweepSchedule } from './sweep-schedule.ts';

const index = z.int().nonnegative();
const entrySchema = z.discriminatedUnion('kind', [
  /** A worker starts a part of a run, or continues one that was returned. */
  z.strictObject({
    kind: z.literal('start'),
    worker: z.string(),
    index,
    run: index,
    until: z.union([z.int().positive(), z.literal('end')]),
    /** Number of results that the decision was based on. */
    by: index,
  }),
  z.strictObject({
    kind: z.literal('result'),
    worker: z.string(),
    index,
    /** The metric of the sweep; absent if the run failed. */
    value: z.number().optional(),
    ended: z.boolean(),
    /** Reason why the run can't be completed. */
    failure: z.string().optional(),
    evaluations: index,
    step: index,
    totalSteps: index,
    loss: z.number().optional(),
  }),
  /** A part no longer has a worker. */
  z.strictObject({
    kind: z.literal('free'),
    worker: z.string(),
    index,
    /** Problem of the run or its machine; absent if the worker had to stop. */
    problem: z.string().optional(),
  }),
  /** The sweep was continued after all of its workers had ended. */
  z.strictObject({ kind: z.literal('restart'), worker: z.string() }),
]);

export type JournalEntry = Readonly<z.infer<typeof entrySchema>>;
export type StartEntry = Extract<JournalEntry, { kind: 'start' }>;
export type ResultEntry = Extract<JournalEntry, { kind: 'result' }>;

/** Parses an entry. @throws ZodError */
export const parseEntry = (value: unknown): JournalEntry => entrySchema.parse(value);

export type Proposal =
  | { readonly kind: 'start'; readonly entry: StartEntry }
  /** Other workers are doing everything that can be done now. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'done' }
  /** A part was returned too often. */
  | { readonly kind: 'failed'; readonly run: number; readonly problem: string };

/** A part of a run that was started. */
export interface Part {
  readonly segment: Segment;
  /** The worker that trains it. */
  holder: string | undefined;
  problems: readonly string[];
  result: ResultEntry | undefined;
}

/** Number of attempts at a part of a run, each by another worker, before the sweep fails with its problem. */
const MAX_ATTEMPTS = 3;

export class SweepJournal {
  private readonly schedule: SweepSchedule;
  private readonly started: Part[] = [];
  /** Parts that a worker is training or that were returned. */
  private readonly unfinished = new Set<number>();
  private count = 0;

  constructor(settings: ScheduleSettings) {
    this.schedule = new SweepSchedule(settings);
  }

  /** Returns the number of entries so far. */
  get length(): number {
    return this.count;
  }

  /** Returns the segments of all parts, in order. */
  get issued(): readonly Segment[] {
    return this.schedule.issued;
  }

  get parts(): readonly Readonly<Part>[] {
    return this.started;
  }

  /** Returns the parts that workers are training now, with their indices. */
  get held(): readonly { readonly index: number; readonly worker: string }[] {
    return [...this.unfinished].flatMap(index => {
      const worker = this.started[index]?.holder;
      return worker === undefined ? [] : [{ index, worker }];
    });
  }

  /** Returns what an idle worker may do next. Nothing changes until the entry is in the journal. */
  propose(worker: string): Proposal {
    const free = [...this.unfinished].filter(index => this.started[index]?.holder === undefined);
    for (const index of free) {
      const { segment, problems } = elementAt(this.started, index);
      if (problems.length >= MAX_ATTEMPTS) return { kind: 'failed', run: segment.run, problem: elementAt(problems, -1) };
    }
    const first = free[0];
    if (first !== undefined) {
      const { segment } = elementAt(this.started, first);
      return { kind: 'start', entry: { kind: 'start', worker, index: first, ...segment, by: this.schedule.arrived } };
    }
    const decision = this.schedule.nextArrived();
    if (decision.kind !== 'start') return decision;
    const { segment, by } = decision;
    return { kind: 'start', entry: { kind: 'start', worker, index: this.started.length, ...segment, by } };
  }

  /** Applies an entry. @throws Error if it does not follow from those before it: the journal is damaged */
  apply(entry: JournalEntry): void {
    switch (entry.kind) {
      case 'start':
        this.start(entry);
        break;
      case 'result':
        this.finish(entry);
        break;
      case 'free':
        this.free(entry);
        break;
      case 'restart':
        for (const index of this.unfinished) {
          const part = elementAt(this.started, index);
          part.holder = undefined;
          part.problems = [];
        }
    }
    this.count++;
  }

  private start({ index, run, until, worker }: StartEntry): void {
    const known = this.started[index];
    if (known === undefined) {
      if (index !== this.started.length) throw new Error(`part ${index} is started before part ${this.started.length}`);
      const segment = { run, until };
      this.schedule.take(segment);
      this.started.push({ segment, holder: worker, problems: [], result: undefined });
    } else {
      if (known.segment.run !== run || known.segment.until !== until || known.holder !== undefined || known.result !== undefined)
        throw new Error(`part ${index} can't be started by ${worker}`);
      known.holder = worker;
    }
    this.unfinished.add(index);
  }

  private finish(entry: ResultEntry): void {
    const part = this.heldBy(entry);
    part.holder = undefined;
    part.result = entry;
    this.unfinished.delete(entry.index);
    this.schedule.arrive(entry.index, { value: entry.value, ended: entry.ended });
  }

  private free(entry: Extract<JournalEntry, { kind: 'free' }>): void {
    const part = this.heldBy(entry);
    part.holder = undefined;
    if (entry.problem !== undefined) part.problems = [...part.problems, entry.problem];
  }

  private heldBy({ index, worker }: { readonly index: number; readonly worker: string }): Part {
    const part = required(this.started[index], `part ${index} of the sweep`);
    if (part.holder !== worker) throw new Error(`part ${index} belongs to ${part.holder ?? 'nobody'}, not to ${worker}`);
    return part;
  }
}
