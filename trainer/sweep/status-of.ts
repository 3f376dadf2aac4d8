/** Orders the runs of a sweep and determines the best one. */
import type { SweepRun, SweepStatus } from '../protocol/run/sweep.ts';
import type { SweepPlan } from './sweep-plan.ts';
import { compareValues } from './sweep-schedule.ts';

interface StatusParts {
  readonly sweepDir: string;
  readonly plan: SweepPlan;
  readonly runs: readonly SweepRun[];
  readonly state: SweepStatus['state'];
}

export function statusOf({ sweepDir, plan, runs, state }: StatusParts): SweepStatus {
  const { name, strategy, metric, mode, parallel } = plan;
  const sorted = [...runs].sort((a, b) => compareRuns(plan, a, b));
  const best = sorted.find(run => run.state === 'finished' && run.value !== undefined)?.id;
  return { sweepDir, name, state, strategy, metric, mode, parallel, runs: sorted, best };
}

/** Compares runs: finished ones first, since the value of a shorter run is not comparable; then by evaluations, value and id. */
export function compareRuns(settings: Pick<SweepPlan, 'mode'>, a: SweepRun, b: SweepRun): number {
  const isLess = (run: SweepRun): number => Number(run.state !== 'finished');
  return (
    isLess(a) - isLess(b) ||
    (a.state === 'finished' ? 0 : b.evaluations - a.evaluations) ||
    compareValues(settings, a.value, b.value) ||
    a.id.localeCompare(b.id)
  );
}
