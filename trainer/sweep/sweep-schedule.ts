/**
 * Decides which run continues next, and for how long. Pure: a decision depends only on the plan and recorded results, so a sweep killed at
 * any moment repeats its decisions and ends with the same result.
 *
 * There are two orders. `next` takes results in an order fixed by the plan; `nextArrived` takes them as they arrive, in the order recorded
 * by a journal (`sweep-journal.ts`).
 *
 * Halving is ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020, algorithm 2): a run is promoted to the next
 * rung if it is among the best 1/η of its rung so far; otherwise a new run starts at the lowest rung. The paper decides by the results that
 * have arrived, in any order. With `parallel` simultaneous runs, decision k here uses the results of the decisions up to k − parallel, in
 * the order of the decisions; more only if these do not allow a decision. So timing has no influence, at the price of a short wait for an
 * earlier run.
 */
import { elementAt } from '../narrow.ts';
import type { SweepStrategy } from '../protocol/run/sweep.ts';

/** A part of a run: it trains until it has made `until` evaluations, or to its end. */
export interface Segment {
  /** Index of the run in the plan. */
  readonly run: number;
  readonly until: number | 'end';
}

export interface SegmentResult {
  /** The metric at the end of the segment; undefined if the run failed. */
  readonly value?: number;
  /** True if the run has no updates left, or failed. */
  readonly ended: boolean;
}

export interface ScheduleSettings {
  readonly strategy: SweepStrategy;
  readonly mode: 'min' | 'max';
  readonly runs: number;
  /** The η of ASHA. */
  readonly reductionFactor: number;
  /** Number of evaluations of the lowest rung. */
  readonly minEvaluations: number;
  /** Number of simultaneous runs. */
  readonly parallel: number;
}

export type Decision =
  | { readonly kind: 'start'; readonly segment: Segment /** Number of results that the decision was based on. */; readonly by: number }
  /** More results are needed. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'done' };

/** Returns the number of evaluations of a run at the end of a rung. */
export const rungEvaluations = (
  { minEvaluations, reductionFactor }: Pick<ScheduleSettings, 'minEvaluations' | 'reductionFactor'>,
  rung: number,
): number => minEvaluations * reductionFactor ** rung;

interface Recorded {
  readonly run: number;
  readonly result: SegmentResult;
}

/** A possible next part of a run, which has no effect until `take` is called. */
interface Choice {
  readonly segment: Segment;
  take(): void;
}

interface Rung {
  /** Best first; failed runs last, and the earlier of two equal runs first. */
  readonly ranked: Recorded[];
  readonly promoted: Set<number>;
}

export class SweepSchedule {
  private readonly settings: ScheduleSettings;
  private readonly segments: Segment[] = [];
  private readonly rungs: Rung[] = [];
  /** Runs that train to their end as the winner. */
  private readonly winners = new Set<number>();
  private started = 0;
  /** Number of results that decisions may use. */
  private used = 0;

  constructor(settings: ScheduleSettings) {
    this.settings = settings;
  }

  /** Returns the segments of all decisions so far, in order. */
  get issued(): readonly Segment[] {
    return this.segments;
  }

  /** Returns the number of results so far. */
  get arrived(): number {
    return this.used;
  }

  /** Returns the next decision. @param resultOf returns the result of a segment by its index in `issued`; undefined if it is unknown */
  next(resultOf: (index: number) => SegmentResult | undefined): Decision {
    const enough = this.segments.length - this.settings.parallel + 1;
    for (;;) {
      if (this.used >= enough) {
        const decision = this.nextArrived();
        if (decision.kind === 'start') this.take(decision.segment);
        if (decision.kind !== 'wait') return decision;
      }
      const result = resultOf(this.used);
      if (result === undefined) return { kind: 'wait' };
      this.arrive(this.used, result);
    }
  }

  /** Returns the decision of the paper: based on the results that have arrived, in any order. Nothing changes until `take`. */
  nextArrived(): Decision {
    const choice = this.choose();
    if (choice !== undefined) return { kind: 'start', segment: choice.segment, by: this.used };
    return { kind: this.isKnown ? 'done' : 'wait' };
  }

  /** Starts the segment of `nextArrived`. @throws Error if it is a different one */
  take({ run, until }: Segment): void {
    const choice = this.choose();
    if (choice?.segment.run !== run || choice.segment.until !== until)
      throw new Error(`the start of run ${run} until ${until} does not follow from the results`);
    choice.take();
    this.segments.push(choice.segment);
  }

  /** Adds the result of a segment, once. @param index in `issued` */
  arrive(index: number, result: SegmentResult): void {
    this.record(elementAt(this.segments, index), result);
    this.used++;
  }

  private record({ run, until }: Segment, result: SegmentResult): void {
    if (until === 'end') {
      // The next best run replaces a winner that fails.
      if (result.value === undefined) this.winners.delete(run);
      return;
    }
    const { ranked } = this.rungOf(until);
    const place = ranked.findIndex(other => this.compare({ run, result }, other) < 0);
    ranked.splice(place < 0 ? ranked.length : place, 0, { run, result });
  }

  private rungOf(until: number): Rung {
    const { minEvaluations, reductionFactor } = this.settings;
    const level = Math.round(Math.log(until / minEvaluations) / Math.log(reductionFactor));
    while (this.rungs.length <= level) this.rungs.push({ ranked: [], promoted: new Set() });
    return elementAt(this.rungs, level);
  }

  private compare(a: Recorded, b: Recorded): number {
    return compareValues(this.settings, a.result.value, b.result.value) || a.run - b.run;
  }

  /** Returns true if every segment has a result. */
  private get isKnown(): boolean {
    return this.used >= this.segments.length;
  }

  private choose(): Choice | undefined {
    return this.promotedOrNew() ?? (this.isKnown ? this.winner() : undefined);
  }

  private promotedOrNew(): Choice | undefined {
    const { strategy, runs, reductionFactor } = this.settings;
    if (strategy === 'halving')
      for (let level = this.rungs.length - 1; level >= 0; level--) {
        const { ranked, promoted } = elementAt(this.rungs, level);
        const best = Math.floor(ranked.length / reductionFactor);
        const next = ranked.slice(0, best).find(({ run, result }) => !result.ended && !promoted.has(run));
        if (next === undefined) continue;
        const segment = { run: next.run, until: rungEvaluations(this.settings, level + 1) };
        return { segment, take: () => void promoted.add(next.run) };
      }
    if (this.started >= runs) return undefined;
    const segment = { run: this.started, until: strategy === 'halving' ? rungEvaluations(this.settings, 0) : ('end' as const) };
    return { segment, take: () => void this.started++ };
  }

  /** Returns the best run of the highest rung, to be trained to its end if nothing else is left to do. */
  private winner(): Choice | undefined {
    if (this.settings.strategy !== 'halving' || this.winners.size > 0) return undefined;
    const tried = new Set(this.segments.filter(({ until }) => until === 'end').map(({ run }) => run));
    for (const { ranked } of [...this.rungs].reverse()) {
      const best = ranked.find(({ run, result }) => result.value !== undefined && !tried.has(run));
      if (best === undefined) continue;
      if (best.result.ended) return undefined;
      return { segment: { run: best.run, until: 'end' }, take: () => void this.winners.add(best.run) };
    }
    return undefined;
  }
}

/** Compares metric values; negative if `a` is better. No value is the worst. */
export function compareValues({ mode }: Pick<ScheduleSettings, 'mode'>, a: number | undefined, b: number | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return mode === 'min' ? a - b : b - a;
}

/** Returns the expected share of all evaluations of all runs that the sweep makes. @param evaluations of a whole run */
export function expectedShare(settings: ScheduleSettings, evaluations: number): number {
  if (settings.strategy !== 'halving') return 1;
  let made = 0;
  let runs = settings.runs;
  let from = 0;
  for (let rung = 0; runs > 0 && from < evaluations; rung++) {
    const until = Math.min(rungEvaluations(settings, rung), evaluations);
    made += runs * (until - from);
    from = until;
    runs = Math.floor(runs / settings.reductionFactor);
  }
  return Math.min(1, (made + Math.max(0, evaluations - from)) / (settings.runs * evaluations));
}
