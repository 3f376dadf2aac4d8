/** Tests which run continues next: compares ASHA with a plain version of its paper, and checks independence of timing. */
import { describe, expect, test } from 'vitest';
import { elementAt, lastOf } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import {
  expectedShare,
  rungEvaluations,
  type ScheduleSettings,
  type Segment,
  type SegmentResult,
  SweepSchedule,
} from '../../../trainer/sweep/sweep-schedule.ts';

const settings = (change: Partial<ScheduleSettings> = {}): ScheduleSettings => ({
  strategy: 'halving',
  mode: 'min',
  runs: 27,
  reductionFactor: 3,
  minEvaluations: 1,
  parallel: 1,
  ...change,
});

/** The loss of a run after a number of evaluations: noisy curves that cross. */
function lossOf(run: number, evaluations: number): number {
  const random = createRandom(run, 11);
  const [floor, speed] = [random.uniform(), 0.2 + random.uniform()];
  return floor + Math.exp(-speed * evaluations) + 0.05 * createRandom(run, evaluations).uniform();
}

const WHOLE = 20;
const resultOf = ({ run, until }: Segment, fails: (run: number) => boolean = () => false): SegmentResult => {
  if (fails(run)) return { ended: true };
  const evaluations = until === 'end' ? WHOLE : Math.min(until, WHOLE);
  return { value: lossOf(run, evaluations), ended: evaluations === WHOLE };
};

/** Runs the schedule with `workers` that take random times. */
function simulate(given: ScheduleSettings, seed: number, fails?: (run: number) => boolean): { issued: readonly Segment[]; most: number } {
  const random = createRandom(seed, 5);
  const schedule = new SweepSchedule(given);
  const { issued } = schedule;
  const results = new Map<number, SegmentResult>();
  const working: number[] = [];
  let most = 0;
  for (;;) {
    const decision = working.length < given.parallel ? schedule.next(index => results.get(index)) : { kind: 'wait' as const };
    if (decision.kind === 'start') {
      working.push(issued.length - 1);
      most = Math.max(most, working.length);
      continue;
    }
    const [ended] = working.splice(random.below(Math.max(1, working.length)), 1);
    if (ended === undefined) return { issued, most };
    results.set(ended, resultOf(elementAt(issued, ended), fails));
  }
}

/** Algorithm 2 of the paper for one worker, with sets instead of a table, and the final training of the winner. */
function paper({ runs, reductionFactor: eta }: ScheduleSettings): string[] {
  const rungs: Map<number, number>[] = [];
  const promoted: Set<number>[] = [];
  const order: string[] = [];
  const train = (run: number, rung: number): void => {
    const evaluations = Math.min(eta ** rung, WHOLE);
    order.push(`${run}:${eta ** rung}`);
    rungs[rung] = (rungs[rung] ?? new Map()).set(run, lossOf(run, evaluations));
  };
  const candidate = (): readonly [number, number] | undefined => {
    for (let rung = rungs.length - 1; rung >= 0; rung--) {
      const sorted = [...elementAt(rungs, rung)].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
      const top = sorted.slice(0, Math.floor(sorted.length / eta)).map(([run]) => run);
      const next = top.find(run => !promoted[rung]?.has(run) && eta ** rung < WHOLE);
      if (next !== undefined) return [next, rung];
    }
    return undefined;
  };
  for (let started = 0; ; ) {
    const next = candidate();
    if (next !== undefined) {
      const [run, rung] = next;
      promoted[rung] = (promoted[rung] ?? new Set()).add(run);
      train(run, rung + 1);
    } else if (started < runs) train(started++, 0);
    else break;
  }
  const top = lastOf(rungs);
  const [winner] = elementAt(
    [...top].sort((a, b) => a[1] - b[1]),
    0,
  );
  if (eta ** (rungs.length - 1) < WHOLE) order.push(`${winner}:end`);
  return order;
}

const shown = (segments: readonly Segment[]): string[] => segments.map(({ run, until }) => `${run}:${until}`);

describe('halving', () => {
  test.each([{ runs: 1 }, { runs: 5 }, { runs: 9 }, { runs: 27 }, { runs: 60, reductionFactor: 2 }, { runs: 40, reductionFactor: 4 }])(
    'one run at a time decides as the algorithm of the paper: %o',
    change => {
      const given = settings(change);
      expect(shown(simulate(given, 1).issued)).toEqual(paper(given));
    },
  );

  test.each([2, 3, 8])('with %i at a time, decisions do not depend on which run is faster', parallel => {
    const given = settings({ parallel });
    const [first, ...others] = Array.from({ length: 20 }, (_, seed) => simulate(given, seed));
    expect(first?.most).toBe(parallel);
    for (const { issued } of others) expect(issued).toEqual(first?.issued);
  });

  test('a run never starts a rung twice, and each rung promotes at most its share', () => {
    const { issued } = simulate(settings({ parallel: 4, runs: 81 }), 3);
    expect(new Set(shown(issued)).size).toBe(issued.length);
    const onRung = (rung: number): number => issued.filter(({ until }) => until === rungEvaluations(settings(), rung)).length;
    for (const rung of [1, 2, 3]) expect(onRung(rung)).toBeLessThanOrEqual(Math.floor(onRung(rung - 1) / 3) + 1 + onRung(rung) * 0.5);
    expect(onRung(0)).toBe(81);
  });

  test('failed runs are last in their rung, and the winner is another', () => {
    const fails = (run: number): boolean => run % 3 !== 0;
    const { issued } = simulate(settings({ runs: 12 }), 1, fails);
    const last = lastOf(issued);
    expect(fails(last.run)).toBe(false);
    expect(issued.filter(({ run, until }) => until !== 1 && fails(run))).toEqual([]);
    expect(simulate(settings({ runs: 6 }), 1, () => true).issued).toHaveLength(6);
  });

  test('10,000 runs are decided with correct accounting', () => {
    const given = settings({ runs: 10_000, parallel: 64, reductionFactor: 4 });
    const { issued } = simulate(given, 7);
    expect(new Set(issued.map(({ run }) => run)).size).toBe(10_000);
    expect(new Set(shown(issued)).size).toBe(issued.length);
    const made = issued.reduce((sum, { until }) => sum + (until === 1 ? 1 : until === 'end' ? WHOLE : (until * 3) / 4), 0);
    // Early promotions are sometimes wrong, so a little more than the synchronous share.
    expect(made / (10_000 * WHOLE)).toBeGreaterThan(0.9 * expectedShare(given, WHOLE));
    expect(made / (10_000 * WHOLE)).toBeLessThan(1.5 * expectedShare(given, WHOLE));
  });
});

test('grid and random train every run to its end, in order', () => {
  for (const strategy of ['grid', 'random'] as const) {
    const { issued, most } = simulate(settings({ strategy, runs: 7, parallel: 3 }), 2);
    expect(shown(issued)).toEqual(Array.from({ length: 7 }, (_, run) => `${run}:end`));
    expect(most).toBe(3);
  }
});
