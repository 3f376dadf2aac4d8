/** The progress of a sweep over all its runs, in updates, with rate and remaining time. */
import type { Job } from '../job/job.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { stepsOf } from '../train/schedule.ts';
import type { SweepPlan } from './sweep-plan.ts';
import { scheduleOf } from './sweep-plan.ts';
import { expectedShare } from './sweep-schedule.ts';

export interface RunSteps {
  readonly done: number;
  readonly total: number;
}

/** Interval between progress events in milliseconds. */
const INTERVAL_MS = 500;

export class SweepProgress {
  private readonly plan: SweepPlan;
  private readonly recipe: Recipe;
  private readonly job: Job;
  private readonly steps: Map<string, RunSteps>;
  /** Time and count at the first update; before that, the model is being loaded. */
  private start: { readonly ms: number; readonly done: number } | undefined;
  private shownMs = Number.NEGATIVE_INFINITY;

  /**
   * @param recipe of any run, for the evaluation interval
   * @param before updates of earlier processes, by run
   */
  constructor(plan: SweepPlan, recipe: Recipe, job: Job, before: ReadonlyMap<string, RunSteps>) {
    this.plan = plan;
    this.recipe = recipe;
    this.job = job;
    this.steps = new Map(before);
  }

  /** Updates the progress of a run. @param message the number of completed runs, and the best one */
  update(id: string, steps: RunSteps, message: string): void {
    this.steps.set(id, steps);
    const nowMs = performance.now();
    if (nowMs - this.shownMs < INTERVAL_MS && steps.done < steps.total) return;
    this.shownMs = nowMs;
    const done = this.done;
    const total = Math.max(done, this.expected());
    this.start ??= { ms: nowMs, done };
    const seconds = (nowMs - this.start.ms) / 1000;
    const ratePerSecond = done > this.start.done && seconds > 0 ? (done - this.start.done) / seconds : undefined;
    const secondsLeft = ratePerSecond === undefined ? undefined : (total - done) / ratePerSecond;
    this.job.emit({ type: 'progress', phase: 'sweep', done, total, unit: 'steps', ratePerSecond, secondsLeft, message });
  }

  private get done(): number {
    return [...this.steps.values()].reduce((sum, { done }) => sum + done, 0);
  }

  /** Returns the expected total; runs that have not started count as the mean of the others. */
  private expected(): number {
    const totals = [...this.steps.values()].map(({ total }) => total);
    const mean = totals.reduce((sum, total) => sum + total, 0) / Math.max(1, totals.length);
    const { eval_strategy, eval_steps, num_train_epochs, max_steps } = this.recipe;
    const evaluations =
      eval_strategy === 'steps'
        ? Math.ceil(mean / Math.max(1, stepsOf(eval_steps, mean)))
        : max_steps > 0
          ? 1
          : Math.ceil(num_train_epochs);
    return Math.round(mean * this.plan.runs.length * expectedShare(scheduleOf(this.plan), Math.max(1, evaluations)));
  }
}
