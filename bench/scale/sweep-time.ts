/** Simulates the time of a sweep: the schedule of real sweeps, with workers whose runs take time and compute losses by a formula. */
import { elementAt } from '../../trainer/narrow.ts';
import { createRandom } from '../../trainer/random.ts';
import { SweepJournal } from '../../trainer/sweep/sweep-journal.ts';
import { type ScheduleSettings, type Segment, type SegmentResult, SweepSchedule } from '../../trainer/sweep/sweep-schedule.ts';

export interface SweepTime {
  /** Number of segments; each one started and ended. */
  readonly segments: number;
  readonly evaluations: number;
  /** From the first start to the last end, in units of one evaluation of an average run. */
  readonly time: number;
  /** Share of that time in which workers are busy. */
  readonly busy: number;
  readonly mostAtOnce: number;
  /** Rank of the best fully trained run among all runs, if all had been fully trained; 1 is the best. */
  readonly winnerPlace: number;
}

export interface SweepTimeParams extends Omit<ScheduleSettings, 'strategy' | 'mode' | 'parallel'> {
  /**
   * The order of decisions. With a fixed order, decision k uses the results of decisions up to k − ahead. With `arrival`, a sweep of
   * several workers decides by the results that have arrived, and its journal records them.
   */
  readonly order: { readonly ahead: number } | 'arrival';
  /** Number of runs that train at the same time. */
  readonly workers: number;
  /** Evaluations of a whole run. */
  readonly evaluations: number;
  readonly seed: number;
}

/** @throws Error if a segment of a run does not start where the previous one ended */
export function simulateSweep({ evaluations: whole, seed, workers, order, ...given }: SweepTimeParams): SweepTime {
  const settings = { ...given, strategy: 'halving', mode: 'min', parallel: order === 'arrival' ? workers : order.ahead } as const;
  const decider = order === 'arrival' ? byArrival(settings) : byPlan(settings);
  const working: { readonly index: number; readonly end: number }[] = [];
  const made = new Map<number, number>();
  let [now, evaluations, workTime, mostAtOnce] = [0, 0, 0, 0];
  for (;;) {
    const segment = working.length < workers ? decider.start() : undefined;
    if (segment !== undefined) {
      const { run, until } = segment;
      const from = made.get(run) ?? 0;
      const to = until === 'end' ? whole : Math.min(until, whole);
      if (to < from) throw new Error(`run ${run} would go back from evaluation ${from} to ${to}`);
      made.set(run, to);
      const time = (to - from) * slownessOf(run, seed);
      evaluations += to - from;
      workTime += time;
      working.push({ index: decider.issued().length - 1, end: now + time });
      mostAtOnce = Math.max(mostAtOnce, working.length);
      continue;
    }
    const next = working.reduce((first, one, i) => (one.end < (working[first]?.end ?? Number.POSITIVE_INFINITY) ? i : first), 0);
    const [ended] = working.splice(next, 1);
    if (ended === undefined) break;
    now = ended.end;
    decider.end(ended.index, resultOf(elementAt(decider.issued(), ended.index), whole, seed));
  }
  const final = Array.from({ length: given.runs }, (_, run) => lossOf(run, whole, seed));
  const complete = [...made].flatMap(([run, to]) => (to === whole ? [elementAt(final, run)] : []));
  const best = Math.min(...complete);
  return {
    segments: decider.issued().length,
    evaluations,
    time: now,
    busy: workTime / (now * workers),
    mostAtOnce,
    winnerPlace: 1 + final.filter(loss => loss < best).length,
  };
}

interface Decider {
  issued(): readonly Segment[];
  /** Starts the next segment; returns undefined if there is none at present. */
  start(): Segment | undefined;
  end(index: number, result: SegmentResult): void;
}

function byPlan(settings: ScheduleSettings): Decider {
  const schedule = new SweepSchedule(settings);
  const results = new Map<number, SegmentResult>();
  return {
    issued: () => schedule.issued,
    start: () => {
      const decision = schedule.next(index => results.get(index));
      return decision.kind === 'start' ? decision.segment : undefined;
    },
    end: (index, result) => void results.set(index, result),
  };
}

function byArrival(settings: ScheduleSettings): Decider {
  const journal = new SweepJournal(settings);
  const worker = 'simulated';
  return {
    issued: () => journal.issued,
    start: () => {
      const proposal = journal.propose(worker);
      if (proposal.kind !== 'start') return undefined;
      journal.apply(proposal.entry);
      return proposal.entry;
    },
    end: (index, { value, ended }) =>
      journal.apply({ kind: 'result', worker, index, value, ended, evaluations: 0, step: 0, totalSteps: 0 }),
  };
}

/** Relative time between evaluations; runs differ by a factor of up to four, as their batches and ranks do. */
const slownessOf = (run: number, seed: number): number => 0.4 + 1.2 * createRandom(seed, run, 1).uniform();

/** Noisy loss curves that cross each other. */
function lossOf(run: number, evaluations: number, seed: number): number {
  const random = createRandom(seed, run, 2);
  const [floor, speed] = [random.uniform(), 0.2 + random.uniform()];
  return floor + Math.exp(-speed * evaluations) + 0.05 * createRandom(seed, run, 3, evaluations).uniform();
}

function resultOf({ run, until }: Segment, whole: number, seed: number): SegmentResult {
  const evaluations = until === 'end' ? whole : Math.min(until, whole);
  return { value: lossOf(run, evaluations, seed), ended: evaluations === whole };
}
