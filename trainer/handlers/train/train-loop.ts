/** The training loop: updates with metrics, evaluation, checkpoints, divergence checks and stop requests. */

import { type DataCursor, dataStart, stepsPerEpoch } from '../../data/batch/batches.ts';
import { DataError } from '../../data/data-error.ts';
import { bestModelValue, type Evaluation } from '../../job/evaluate.ts';
import { gpuMetrics } from '../../job/gpu-metrics.ts';
import type { MemoryMeter } from '../../job/memory-meter.ts';
import { exchangeMemory } from '../../plan/memory/exchange-buffers.ts';
import { PAUSED_BY_SWEEP } from '../../protocol/messages/job-messages.ts';
import { stringifyRecipe } from '../../protocol/recipe/stringify-recipe.ts';
import { saveCheckpoint, type TrainerState } from '../../run/checkpoint/checkpoint.ts';
import { pruneCheckpoints } from '../../run/checkpoint/checkpoint-folders.ts';
import { saveResiduals } from '../../run/checkpoint/exchange-residuals.ts';
import { syncMetrics } from '../../run/metrics-file.ts';
import { addSums, meansOf } from '../../train/measure-sums.ts';
import { learningRateAt, type ScheduleSettings, stepsOf, warmupStepsOf } from '../../train/schedule.ts';
import { checkLoss, diverged } from './check-loss.ts';
import { evaluateStep } from './evaluate-step.ts';
import type { Prepared } from './prepared.ts';
import { RankMeter } from './ranks/rank-meter.ts';
import type { MetricsPlace, RunMetrics, RunScope } from './run-metrics.ts';
import { afterChoice, choiceAfter } from './second-choice.ts';
import { type BegunStep, beginStep, handled, type StepResult } from './train-step.ts';

export interface TrainLoopParams extends RunScope {
  readonly prepared: Prepared;
  readonly memory: MemoryMeter;
  readonly metrics: RunMetrics;
  /** The state to resume from; undefined for a new run. */
  readonly start?: TrainerState;
  /** The evaluation of the original model. */
  readonly before?: Evaluation;
  /** Number of evaluations in total after which the run stops and saves, unless it ends earlier. */
  readonly pauseAfter?: number;
  readonly onFirstUpdate?: () => Promise<void>;
  /** Whether another rank saves the checkpoints. */
  readonly follows?: boolean;
}

export interface LoopOutcome {
  readonly step: number;
  readonly epoch: number;
  readonly totalSteps: number;
  /** The newest checkpoint; undefined if the run was stopped before the first one without saving. */
  readonly checkpoint: string | undefined;
  readonly best: TrainerState['best'];
  /** The evaluation after the last update, if there was one. */
  readonly evaluation: Evaluation | undefined;
  /** Durations of this process's updates in seconds, in order. */
  readonly stepSeconds: readonly number[];
  /** Tokens or images per second of each of these updates. */
  readonly stepRates: readonly number[];
  readonly finished: boolean;
  readonly choosesAgain: boolean;
  /** Whether the run finished before its last update because of `early_stopping_patience`. */
  readonly stoppedEarly: boolean;
}

/** The total number of updates: max_steps, or else the epochs in whole updates. */
export function totalStepsOf({ recipe, source }: Pick<Prepared, 'recipe' | 'source'>): number {
  const perEpoch = stepsPerEpoch(source.plan, recipe.gradient_accumulation_steps);
  return recipe.max_steps > 0 ? recipe.max_steps : Math.ceil(recipe.num_train_epochs * perEpoch);
}

/** @throws RunError 'loss-diverged' or 'disk-full', DataError; earlier checkpoints stay valid */
export function runTrainLoop(params: TrainLoopParams): Promise<LoopOutcome> {
  return new TrainLoop(params).run();
}

/** Sums before the first update after a metrics line. */
const EMPTY_WINDOW = { loss: 0, steps: 0, tokens: 0, seconds: 0, measures: {} };

/** The state of a run before its first update. */
export function firstState(prepared: Prepared, before: Evaluation | undefined): TrainerState {
  return {
    version: 1,
    step: 0,
    cursor: dataStart,
    tokens: 0,
    targets: 0,
    trainSeconds: 0,
    firstLoss: 0,
    window: EMPTY_WINDOW,
    before: before && { ...before },
    stale: 0,
    batching: prepared.batching,
    baseFingerprint: prepared.base.fingerprint,
    recipe: stringifyRecipe(prepared.recipe),
    recompute: prepared.recompute.policy,
    dtype: prepared.plan.precision.dtype,
    engine: prepared.base.engine.description.name,
    startedAt: prepared.startedAt,
    data: prepared.data,
  };
}

class TrainLoop {
  private readonly params: TrainLoopParams;
  private readonly metrics: RunMetrics;
  private readonly schedule: ScheduleSettings;
  private readonly rankMeter: RankMeter | undefined;
  private readonly choiceAfter: number;
  private readonly stepSeconds: number[] = [];
  private readonly stepRates: number[] = [];
  private state: TrainerState;
  private savedStep = -1;
  private checkpoint: string | undefined;
  private evaluation: Evaluation | undefined;
  /** The update after the awaited one, if the session runs ahead. */
  private ahead: Promise<BegunStep> | undefined;

  constructor(params: TrainLoopParams) {
    const { prepared, start, before } = params;
    const { recipe } = prepared;
    const totalSteps = totalStepsOf(prepared);
    this.params = params;
    this.metrics = params.metrics;
    this.rankMeter = prepared.ranks && new RankMeter(prepared.ranks, params.runDir);
    const resumed = {
      recipe: stringifyRecipe(recipe),
      recompute: prepared.recompute.policy,
      startedAt: prepared.startedAt,
      data: prepared.data,
      stoppedAtSample: undefined,
      ...afterChoice(prepared),
    };
    this.choiceAfter = choiceAfter(prepared, totalSteps);
    this.state = start ? { ...start, ...resumed } : firstState(prepared, before);
    this.schedule = {
      type: recipe.lr_scheduler_type,
      learningRate: recipe.learning_rate,
      minLearningRate: recipe.min_learning_rate,
      warmupSteps: warmupStepsOf({ steps: recipe.warmup_steps, ratio: recipe.warmup_ratio, totalSteps }),
      totalSteps,
      arguments: recipe.lr_scheduler_kwargs,
    };
    if (start) this.savedStep = start.step;
  }

  async run(): Promise<LoopOutcome> {
    const { job, keeper, memory, prepared } = this.params;
    const { totalSteps } = this.schedule;
    await keeper.update({ state: 'running', step: this.state.step, totalSteps });
    if (this.state.evaluationDue) await this.evaluate();
    this.pauseIfDue();
    job.phase('train', `training: ${this.state.step} of ${totalSteps} updates are done`);
    const report = job.progress('train', totalSteps, 'steps', this.state.step);
    while (this.state.step < totalSteps && !this.isStale && !this.state.choiceDue) {
      await job.yieldToEvents();
      prepared.ranks?.agree();
      // An update that has begun changes the weights, so it is finished.
      if (job.stop && !this.ahead) break;
      await this.update();
      if (this.stepSeconds.length === 1) await this.params.onFirstUpdate?.();
      report(this.state.step);
      await this.afterUpdate();
    }
    memory.endTraining();
    const exchange = await this.rankMeter?.finish();
    if (exchange !== undefined) job.log('info', exchange);
    const { stop } = job;
    const stoppedEarly = this.isStale && this.state.step < totalSteps;
    if (stoppedEarly) job.log('info', `stopped early after update ${this.state.step}: no improvement in ${this.state.stale} evaluations`);
    const finished = !stop && (stoppedEarly || this.state.step >= totalSteps);
    if (this.savedStep === this.state.step) await this.prune();
    else if (stop === undefined || stop.save) await this.save();
    return {
      ...this.place,
      totalSteps,
      checkpoint: this.checkpoint,
      best: this.state.best,
      evaluation: this.evaluation,
      stepSeconds: this.stepSeconds,
      stepRates: this.stepRates,
      finished,
      choosesAgain: !stop && !finished && this.state.choiceDue === true,
      stoppedEarly: finished && stoppedEarly,
    };
  }

  private async update(): Promise<void> {
    const { state } = this;
    const { prepared } = this.params;
    const step = state.step + 1;
    const rate = learningRateAt(this.schedule, state.step);
    this.rankMeter?.begin();
    const started = performance.now();
    const begun = this.ahead ?? this.begin(step, state.cursor);
    this.ahead = undefined;
    const { result: pending, next } = await begun.catch(error => this.keepBefore(error));
    if (this.mayRunAhead(step, next)) this.ahead = handled(this.begin(step + 1, next));
    const result = await pending;
    const seconds = (performance.now() - started) / 1000;
    this.stepSeconds.push(seconds);
    this.rankMeter?.end(seconds);
    this.stepRates.push(result.tokens / seconds);
    this.evaluation = undefined;
    checkLoss(result, step, { maxRatio: prepared.recipe.max_loss_ratio, state });
    const { window } = state;
    this.state = {
      ...state,
      step,
      cursor: next,
      tokens: state.tokens + result.tokens,
      targets: state.targets + result.targets,
      trainSeconds: state.trainSeconds + seconds,
      firstLoss: state.step === 0 ? result.loss : state.firstLoss,
      choiceDue: step === this.choiceAfter || undefined,
      window: {
        loss: window.loss + result.loss,
        steps: window.steps + 1,
        tokens: window.tokens + result.tokens,
        seconds: window.seconds + seconds,
        measures: { ...addSums(window.measures, result.measures) },
      },
    };
    await this.record(result, rate);
  }

  private begin(step: number, cursor: DataCursor): Promise<BegunStep> {
    return beginStep(this.params.prepared, cursor, step, learningRateAt(this.schedule, step - 1));
  }

  /** True if nothing has to be done with the weights between an update and the next one. */
  private mayRunAhead(step: number, next: DataCursor): boolean {
    const { prepared, job } = this.params;
    if (!prepared.session.runsAhead || prepared.ranks || job.stop) return false;
    // The preparations of a run end with the first update.
    if (this.stepSeconds.length === 0 || step >= this.schedule.totalSteps || step === this.choiceAfter) return false;
    const { evaluates, saves } = this.dueAfter(step, next);
    return !evaluates && !saves;
  }

  /** Saves the state before a bad sample: earlier updates are valid, and a resumed run meets the same batch again. */
  private async keepBefore(error: unknown): Promise<never> {
    const { step } = this.state;
    if (error instanceof DataError && step > 0) {
      const marks = this.params.prepared.batching === 3;
      if (marks) this.state = { ...this.state, stoppedAtSample: true };
      if (marks || this.savedStep !== step) await this.save();
      this.params.job.log('warning', `update ${step} is saved: fix the data, then continue with rowtune resume`);
    }
    throw error;
  }

  private get epoch(): number {
    const { epoch, batchIndex } = this.state.cursor;
    return epoch + batchIndex / this.params.prepared.source.plan.batchesPerEpoch;
  }

  private get place(): MetricsPlace {
    return { step: this.state.step, epoch: this.epoch };
  }

  /**
   * Writes a metrics line every `logging_steps` and for the last update: means since the previous line, and peak memory. Its loss is the
   * one shown everywhere: in state.json, on the command line, in the views.
   */
  private async record({ gradNorm }: StepResult, learningRate: number): Promise<void> {
    const { prepared, keeper, memory } = this.params;
    const { step, window } = this.state;
    await keeper.update({ step, epoch: this.epoch });
    const { totalSteps } = this.schedule;
    if (step % stepsOf(prepared.recipe.logging_steps, totalSteps) !== 0 && step !== totalSteps) return;
    const sample = memory.sample();
    await this.rankMeter?.report(step, sample);
    await this.metrics.emit(this.place, {
      loss: window.loss / window.steps,
      ...meansOf(window.measures),
      learning_rate: learningRate,
      grad_norm: gradNorm,
      tokens_per_second: window.tokens / window.seconds,
      seconds: window.seconds / window.steps,
      memory_resident_bytes: sample.residentBytes,
      memory_peak_bytes: sample.peakBytes,
      ...gpuMetrics(prepared.base.engine),
    });
    this.state = { ...this.state, window: EMPTY_WINDOW };
  }

  private dueAfter(step: number, { batchIndex }: DataCursor): { readonly evaluates: boolean; readonly saves: boolean } {
    const { recipe, evaluator } = this.params.prepared;
    const { totalSteps } = this.schedule;
    const isDue = (strategy: 'no' | 'steps' | 'epoch', every: number): boolean =>
      strategy === 'steps' ? step % stepsOf(every, totalSteps) === 0 : strategy === 'epoch' && batchIndex === 0;
    // As in Transformers, the last update is always evaluated, so that it can be the best.
    const isLast = step === totalSteps && recipe.eval_strategy !== 'no';
    return {
      evaluates: evaluator !== undefined && (isLast || isDue(recipe.eval_strategy, recipe.eval_steps)),
      saves: isDue(recipe.save_strategy, recipe.save_steps),
    };
  }

  private async afterUpdate(): Promise<void> {
    const { prepared, job } = this.params;
    const { evaluates, saves } = this.dueAfter(this.state.step, this.state.cursor);
    const isBest = evaluates && (await this.evaluate());
    this.pauseIfDue();
    if (job.stop) return;
    if (saves || (isBest && prepared.recipe.load_best_model_at_end)) await this.save();
  }

  /** Evaluates. @returns whether the result is the best so far */
  private async evaluate(): Promise<boolean> {
    const { prepared, runDir, job, memory } = this.params;
    const { evaluator, recipe } = prepared;
    if (!evaluator) return false;
    memory.endTraining();
    const found = await evaluateStep({ prepared, evaluator, runDir, step: this.state.step, job });
    memory.skip();
    this.state = { ...this.state, evaluationDue: found ? undefined : true };
    if (!found) return false;
    if (!Number.isFinite(found.loss)) throw diverged(`the evaluation loss is not a finite number at step ${this.state.step}`);
    this.evaluation = found;
    const { best, step, before } = this.state;
    await this.metrics.evaluation(this.place, found, before);
    const value = bestModelValue(found, recipe.metric_for_best_model);
    // As in Transformers' EarlyStoppingCallback, compared with the best result so far, which any gain replaces, however small.
    const isBetter = !best || value - best.value > recipe.early_stopping_threshold;
    this.state = { ...this.state, stale: isBetter ? 0 : this.state.stale + 1 };
    if (best && best.value >= value) return false;
    this.state = { ...this.state, best: { step, value, evaluation: { ...found } } };
    return true;
  }

  private pauseIfDue(): void {
    const { pauseAfter = Number.POSITIVE_INFINITY, metrics, job } = this.params;
    const isOver = this.isStale || this.state.step >= this.schedule.totalSteps;
    if (!isOver && metrics.evaluations >= pauseAfter) job.requestStop({ save: true, reason: PAUSED_BY_SWEEP });
  }

  private get isStale(): boolean {
    const { early_stopping_patience: patience } = this.params.prepared.recipe;
    return patience !== undefined && this.state.stale >= patience;
  }

  private async save(): Promise<void> {
    const { prepared, runDir, job, memory } = this.params;
    const { session, plan, adapter, ranks } = prepared;
    const { step } = this.state;
    const { keptBytes } = exchangeMemory(plan);
    memory.endTraining();
    if (this.params.follows) {
      if (ranks && keptBytes > 0) await saveResiduals(ranks);
      this.savedStep = step;
      memory.skip();
      return;
    }
    await syncMetrics(runDir);
    this.checkpoint = await saveCheckpoint({
      runDir,
      session,
      attachment: plan.attachment,
      optimizer: plan.optimizer,
      adapter: { ...adapter, step },
      state: this.state,
      exchange: ranks && keptBytes > 0 ? { bytes: ranks.size * keptBytes, write: folder => saveResiduals(ranks, folder) } : undefined,
    });
    this.savedStep = step;
    job.note('info', `saved ${this.checkpoint}`);
    await this.prune();
    memory.skip();
  }

  /** Removes checkpoints beyond the limit, including those that a killed process had yet to remove. */
  private async prune(): Promise<void> {
    const { prepared, runDir, follows } = this.params;
    if (follows) return;
    const { load_best_model_at_end: keepsBest, save_total_limit: limit } = prepared.recipe;
    const { step, best } = this.state;
    await pruneCheckpoints(runDir, limit, new Set([step, ...(keepsBest && best ? [best.step] : [])]));
  }
}
