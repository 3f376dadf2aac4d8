/** The jobs 'train' and 'resume': a run folder from its first file to its summary. */

import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { hasGgufName } from '../../artifact/gguf/metadata.ts';
import { isOneOf } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { trackerNames } from '../../catalog/trackers.ts';
import { removeHalfWritten, writeJson } from '../../files/durable-file.ts';
import { byteSize } from '../../graph/types.ts';
import type { Evaluation } from '../../job/evaluate.ts';
import type { Job } from '../../job/job.ts';
import type { JobScope, RecipeScope } from '../../job/job-scope.ts';
import { MemoryMeter } from '../../job/memory-meter.ts';
import type { Base } from '../../job/open-base.ts';
import type { Ranks } from '../../job/ranks.ts';
import { required } from '../../narrow.ts';
import type { Forgetting } from '../../objective/causal/forgetting.ts';
import type { JobRequest } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { stringifyRecipe } from '../../protocol/recipe/stringify-recipe.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { namingSilentRanks } from '../../ranks/silent-ranks.ts';
import { withAbsolutePaths } from '../../run/absolute-paths.ts';
import { rewindAnswers } from '../../run/answers-file.ts';
import { beginRunFolder, dropReplaced, recoverReplaced } from '../../run/begin-run.ts';
import { listCheckpoints, removeLeftovers } from '../../run/checkpoint/checkpoint-folders.ts';
import { type Checkpoint, openLastCheckpoint, withReadableBest } from '../../run/checkpoint/load-checkpoint.ts';
import { forgetEvaluation, readMetrics, rewindMetrics } from '../../run/metrics-file.ts';
import { offerContinuation } from '../../run/offer-continuation.ts';
import { isRunFile, writeRunRecipe } from '../../run/run-folder.ts';
import { takeRunLock } from '../../run/run-lock.ts';
import { type RunState, readRunState, StateKeeper } from '../../run/run-state.ts';
import type { TrackedEnd } from '../../run/trackers/tracker.ts';
import { describeFailure, RunError } from '../../run-error.ts';
import { accumulates } from '../../train/training-params.ts';
import { forgettingOfRun } from '../measure-forgetting.ts';
import { evaluateStep } from './evaluate-step.ts';
import { joinRun, trainInProcesses } from './in-processes.ts';
import { prepareTraining } from './prepare.ts';
import type { Prepared } from './prepared.ts';
import { measureInference, rehearse } from './rehearse.ts';
import { asBegun, checkUnchanged, checkUpdatesLeft, readResumeRecipe } from './resume-recipe.ts';
import { newestOf, RunMetrics, type RunScope } from './run-metrics.ts';
import { type LoopOutcome, runTrainLoop, totalStepsOf } from './train-loop.ts';
import { type TrainResult, worsening } from './train-result.ts';
import { withRanks } from './with-ranks.ts';

export type { TrainResult } from './train-result.ts';

type Request<K extends JobRequest['kind']> = Extract<JobRequest, { kind: K }>;

export async function trainJob(request: Request<'train'>, scope: JobScope): Promise<TrainResult> {
  const { recipe, runDir } = request;
  if (recipe.processes > 1 && scope.context.rank === undefined) return trainInProcesses(request, recipe, runDir, scope);
  return withRanks(scope, recipe, joined => trainHere(request, joined));
}

async function trainHere({ recipe: given, runDir: wanted, pauseAfter }: Request<'train'>, scope: JobScope): Promise<TrainResult> {
  const { job, ranks } = scope;
  const recipe = withAbsolutePaths(given, scope.context.baseDir);
  // Under a launcher, each process would choose a free folder of its own.
  const runDir = ranks ? ranks.first(wanted) : wanted;
  if (ranks && !ranks.isFirst) {
    const folder = await joinRun(runDir, ranks, scope.context);
    const keeper = new StateKeeper(folder, { ...kindOf(recipe, runDir), startedAt: ranks.first<string>(undefined) });
    return guarded({ ...scope, recipe, runDir: folder, mainDir: runDir, keeper, pauseAfter, begins: true });
  }
  checkScoresStay(recipe, runDir);
  const folder = await beginRunFolder(runDir, recipe.overwrite_output_dir, message => job.log('warning', message));
  const startedAt = new Date().toISOString();
  const keeper = new StateKeeper(runDir, { ...kindOf(recipe, runDir), startedAt });
  try {
    // A rank may be killed while the others wait for it: the folder is then that of a run, which may be started again.
    if (ranks) await keeper.update({ state: 'preparing' });
    if (ranks) await joinRun(runDir, ranks, scope.context);
    ranks?.first(startedAt);
    return await guarded({ ...scope, recipe, runDir, keeper, pauseAfter, begins: true, onFirstUpdate: folder.keepNew });
  } catch (error) {
    if (keeper.state.step === 0 && (await folder.putBack()))
      job.log('warning', `the previous run is back in ${runDir}, because the new one ended before its first update`);
    throw error;
  } finally {
    folder.release();
  }
}

/** Starting a run deletes the files of an earlier one, including any that this one reads. */
function checkScoresStay({ importance: { scores } }: Recipe, runDir: string): void {
  if (scores === undefined || scores !== path.resolve(runDir, RUN_FILES.scores)) return;
  throw new RunError(
    'output-not-empty',
    `importance.scores is a file of the run in ${runDir}, which this run replaces`,
    'Choose another output_dir, or copy the scores elsewhere',
  );
}

export async function resumeJob(request: Request<'resume'>, scope: JobScope): Promise<TrainResult> {
  const { runDir, overrides } = request;
  const recipe = await readResumeRecipe(runDir, overrides);
  if (recipe.processes > 1 && scope.context.rank === undefined) return trainInProcesses(request, recipe, runDir, scope);
  return withRanks(scope, recipe, joined => resumeHere(request, recipe, joined));
}

/** As the other ranks do: the first has opened the folder and its checkpoint. */
async function resumeInRank({ runDir, pauseAfter }: Request<'resume'>, given: Recipe, scope: JobScope, ranks: Ranks): Promise<TrainResult> {
  const folder = await joinRun(runDir, ranks, scope.context);
  const startedAt = ranks.first<string>(undefined);
  const checkpoint = await openLastCheckpoint(runDir, scope.job);
  try {
    const recipe = checkpoint ? asBegun(given, checkpoint.state) : given;
    const keeper = new StateKeeper(folder, { ...kindOf(recipe, runDir), startedAt, step: checkpoint?.state.step ?? 0 });
    return await guarded({ ...scope, recipe, runDir: folder, mainDir: runDir, keeper, checkpoint, pauseAfter });
  } finally {
    await checkpoint?.close();
  }
}

async function resumeHere(request: Request<'resume'>, given: Recipe, scope: JobScope): Promise<TrainResult> {
  const { runDir, pauseAfter } = request;
  const { job, ranks } = scope;
  if (ranks && !ranks.isFirst) return resumeInRank(request, given, scope, ranks);
  const release = takeRunLock(runDir, message => job.log('warning', message));
  let checkpoint: Checkpoint | undefined;
  try {
    await recoverReplaced(runDir, message => job.log('warning', message));
    await removeLeftovers(runDir);
    await removeHalfWritten(runDir, isRunFile);
    checkpoint = await openLastCheckpoint(runDir, job);
    const earlier = await readRunState(runDir);
    const step = checkpoint?.state.step ?? 0;
    const startedAt = checkpoint?.state.startedAt ?? earlier?.startedAt ?? new Date().toISOString();
    if (checkpoint) {
      checkUnchanged(checkpoint, given);
      if (given.load_best_model_at_end) checkpoint = { ...checkpoint, state: await withReadableBest(checkpoint, job) };
    } else sayFromStart(runDir, earlier, job);
    const recipe = checkpoint ? asBegun(given, checkpoint.state) : given;
    // Until the loop counts them again: overrides may have changed their number.
    const totalSteps = earlier?.totalSteps ?? 0;
    const shown = { totalSteps, epoch: earlier?.epoch, loss: earlier?.loss, metrics: earlier?.metrics };
    const keeper = new StateKeeper(runDir, { ...kindOf(recipe, runDir), startedAt, step, ...shown });
    const wasFinished = earlier?.state === 'finished';
    // Nothing is loaded to find that out, unless the length of the run was changed.
    if (wasFinished && !ranks && stringifyRecipe(recipe) === checkpoint?.state.recipe) checkUpdatesLeft(runDir, checkpoint, totalSteps);
    if (ranks) await joinRun(runDir, ranks, scope.context);
    ranks?.first(startedAt);
    const onFirstUpdate = (): Promise<void> => dropReplaced(runDir);
    return await guarded({ ...scope, recipe, runDir, keeper, checkpoint, wasFinished, pauseAfter, onFirstUpdate });
  } finally {
    await checkpoint?.close();
    release();
  }
}

/**
 * @throws RunError 'checkpoint-missing' if a finished run has lost its checkpoints: restarting would replace the rest
 * of it
 */
function sayFromStart(runDir: string, earlier: RunState | undefined, job: Job): void {
  if (earlier?.state === 'finished')
    throw new RunError(
      'checkpoint-missing',
      `the run in ${runDir} is finished, but its checkpoints are gone`,
      'Restore them, or train again with overwrite_output_dir=true, which replaces the run',
    );
  job.log('warning', `${runDir} has no checkpoint: the run starts over`);
}

/** The fields that tell a run from others in a list. */
const kindOf = ({ name, method, trains, task }: Recipe, runDir: string) => ({ name: name ?? path.basename(runDir), method, trains, task });

interface RunParams extends RecipeScope, RunScope {
  /** The folder of the run, if this is another rank than the first, whose `runDir` is its own. */
  readonly mainDir?: string;
  readonly checkpoint?: Checkpoint;
  readonly wasFinished?: boolean;
  /** Evaluations in total after which the run stops and saves. */
  readonly pauseAfter?: number;
  /** A new run, whose folder is still empty. */
  readonly begins?: boolean;
  readonly onFirstUpdate?: () => Promise<void>;
}

/** Records in state.json how the run ended, whatever the reason. */
async function guarded(params: RunParams): Promise<TrainResult> {
  const { runDir, recipe, job, keeper, checkpoint, begins } = params;
  try {
    // The state comes first: it distinguishes the folder of a run that was killed at once from a user's folder.
    await keeper.update({ state: 'preparing' });
    job.logTo(path.join(runDir, RUN_FILES.log));
    if (begins) await writeRunRecipe(runDir, recipe);
    if (checkpoint) job.log('info', `continuing from step ${checkpoint.state.step}`);
    return await run(params);
  } catch (thrown) {
    const { ranks, context, mainDir = runDir } = params;
    const error = job.explain(ranks ? await namingSilentRanks(ranks.explain(thrown), context.rank) : thrown);
    const isStop = error instanceof RunError && error.code === 'stopped';
    const reason = isStop ? (job.stop?.reason ?? error.message) : describeFailure(error).event.message;
    // A finished run that could not be extended stays finished, as long as its summary exists.
    const isAsBefore = params.wasFinished && existsSync(path.join(runDir, RUN_FILES.summary));
    const end = isAsBefore ? ({ state: 'finished' } as const) : ({ state: isStop ? 'stopped' : 'failed', reason } as const);
    await keeper.update(end).catch(() => undefined);
    throw offerContinuation(error, mainDir);
  }
}

async function run(params: RunParams): Promise<TrainResult> {
  const result = await runPart(params);
  if (result !== 'chooses again') return result;
  const checkpoint = required(await openLastCheckpoint(params.runDir, params.job), 'the checkpoint from which rows are chosen again');
  try {
    return await run({ ...params, checkpoint, begins: false, wasFinished: false, onFirstUpdate: async () => undefined });
  } finally {
    await checkpoint.close();
  }
}

/** A part of a run: all of it, up to a second choice of rows, or from there on. */
async function runPart(params: RunParams): Promise<TrainResult | 'chooses again'> {
  const { runDir, job, keeper, checkpoint, mainDir } = params;
  const prepared = await prepareTraining({ ...params, startedAt: keeper.state.startedAt });
  try {
    // All of it is read; network drives and Windows would not delete an open checkpoint later.
    await checkpoint?.close();
    const trained = await trainPrepared(params, prepared);
    if (trained === 'chooses again') return trained;
    const forgetting = mainDir === undefined ? await forgettingAtEnd(params, prepared.base, trained) : undefined;
    const result = { ...trained, ...(forgetting && { forgetting }) };
    await writeJson(path.join(runDir, RUN_FILES.summary), result);
    const { state, steps, totalSteps } = result;
    await keeper.update({ state, step: steps, reason: state === 'finished' ? undefined : job.stop?.reason });
    job.log('info', state === 'finished' ? `finished after ${steps} updates` : `stopped after ${steps} of ${totalSteps} updates`);
    return result;
  } finally {
    await prepared.base.folder.weights.close();
  }
}

/** A run whose forgetting can't be measured has ended well all the same. */
async function forgettingAtEnd(params: RunParams, base: Base, { state, checkpoint }: TrainResult): Promise<Forgetting | undefined> {
  const { job, recipe } = params;
  const isMeasured = recipe.eval_forgetting && objectiveCatalog[recipe.task].model === 'causal';
  if (!isMeasured || state !== 'finished' || checkpoint === null) return undefined;
  try {
    return await forgettingOfRun(params, base, checkpoint);
  } catch (thrown) {
    const { message } = describeFailure(job.explain(thrown)).event;
    job.log('warning', `forgetting is not measured: ${message}; rowtune evaluate measures it later`);
    return undefined;
  }
}

/** Only the first of several processes reports the run. */
async function track({ runDir, recipe, context, mainDir }: RunParams, metrics: RunMetrics): Promise<void> {
  const names = recipe.report_to.filter(name => isOneOf(trackerNames, name));
  if (names.length === 0 || mainDir !== undefined) return;
  await metrics.trackWith([...new Set(names)], { runDir, recipe, lines: await readMetrics(runDir), settings: context.trackers });
}

/** Disposes of the session. */
async function trainPrepared(params: RunParams, prepared: Prepared): Promise<TrainResult | 'chooses again'> {
  const { runDir, job, keeper, checkpoint, recipe } = params;
  try {
    if (params.wasFinished) checkUpdatesLeft(runDir, checkpoint, totalStepsOf(prepared));
    // The summary of a stopped part names a checkpoint that will soon be outdated; another part may have other processes.
    for (const file of [RUN_FILES.summary, RUN_FILES.byRank]) await rm(path.join(runDir, file), { force: true });
    const { plan, memory: known } = prepared;
    const gradientBytes = plan.maxGradNorm > 0 && !accumulates(plan) ? bytesOf(plan.attachment.trainables) : 0;
    const memory = new MemoryMeter({ ...known, gradientBytes });
    const { isWhole, kept } = await rewindMetrics(runDir, checkpoint ? checkpoint.state.step : -1);
    await rewindAnswers(runDir, checkpoint ? checkpoint.state.step : -1);
    await keeper.update(newestOf(kept));
    const metrics = new RunMetrics(params, kept);
    if (!isWhole) job.log('warning', `${RUN_FILES.metrics} has lost its earlier lines: the charts start here; training is not affected`);
    let before = checkpoint?.state.before;
    if (checkpoint) {
      await measureInference(prepared);
      memory.endInference();
    } else before = await rehearse({ prepared, runDir, job, memory, follows: params.mainDir !== undefined });
    job.checkStop();
    await track(params, metrics);
    await writeRunRecipe(runDir, recipe);
    let end: TrackedEnd = 'failed';
    try {
      const outcome = await runTrainLoop({
        prepared,
        runDir,
        job,
        keeper,
        memory,
        metrics,
        start: checkpoint?.state,
        before,
        pauseAfter: params.pauseAfter,
        onFirstUpdate: params.onFirstUpdate,
        follows: params.mainDir !== undefined,
      });
      if (outcome.choosesAgain) {
        // As with a stop: the second part continues with them.
        end = 'stopped';
        return 'chooses again';
      }
      const result = await resultOf(params, { prepared, outcome, before, memory, metrics });
      end = result.state;
      return result;
    } finally {
      await metrics.endTracking(job.stop === undefined ? end : 'stopped');
    }
  } finally {
    await prepared.session.dispose();
  }
}

const bytesOf = (trainables: readonly { readonly shape: readonly number[] }[]): number =>
  trainables.reduce((sum, { shape }) => sum + byteSize({ shape, dtype: 'float32' }), 0);

interface Finish {
  readonly prepared: Prepared;
  readonly outcome: LoopOutcome;
  readonly before: Evaluation | undefined;
  readonly memory: MemoryMeter;
  readonly metrics: RunMetrics;
}

async function resultOf(params: RunParams, parts: Finish): Promise<TrainResult> {
  const { runDir, job, keeper, recipe, ranks } = params;
  const { prepared, outcome, before, memory } = parts;
  const { coverage, base, recompute } = prepared;
  const wanted = outcome.finished && recipe.load_best_model_at_end ? outcome.best : undefined;
  // Whatever the first rank has saved.
  ranks?.agree();
  const checkpoints = await listCheckpoints(params.mainDir ?? runDir);
  const best = checkpoints.some(({ step }) => step === wanted?.step) ? wanted : undefined;
  if (wanted && !best) job.log('warning', `the best checkpoint (step ${wanted.step}) is missing: the run ends with its last one`);
  const last = checkpoints.find(({ step }) => step === (best?.step ?? outcome.step));
  const after = outcome.finished ? await evaluateEnd(params, parts, best?.step) : undefined;
  const finished = outcome.finished && !job.stop;
  const worse = worsening(before, after);
  if (worse !== undefined && params.mainDir === undefined) job.log('warning', worse);
  return {
    state: finished ? 'finished' : 'stopped',
    runDir,
    checkpoint: last?.folder ?? null,
    steps: outcome.step,
    totalSteps: outcome.totalSteps,
    stoppedEarly: outcome.stoppedEarly,
    loss: keeper.state.loss ?? null,
    before: before ?? null,
    after: after ?? null,
    trainable: coverage.trainable,
    trainableShare: coverage.share,
    secondsPerStep: median(outcome.stepSeconds),
    tokensPerSecond: outcome.tokensPerSecond,
    throughputUnit: objectiveCatalog[recipe.task].unit,
    hasGgufName: hasGgufName(base.folder.config),
    memory: base.engine.description.device === 'cpu' ? memory.split() : null,
    engine: base.engine.description.summary,
    recompute: recompute.policy,
  };
}

/**
 * The metrics of the run's result: of the best checkpoint if requested, otherwise of the last update. They are shown
 * everywhere.
 */
async function evaluateEnd(
  { runDir, job, checkpoint }: RunParams,
  { prepared, outcome, before, metrics }: Finish,
  bestStep: number | undefined,
): Promise<Evaluation | undefined> {
  const { evaluator } = prepared;
  const { step, epoch, best, evaluation } = outcome;
  if (best && bestStep !== undefined && bestStep !== step) {
    job.log('info', `the best checkpoint is that of step ${bestStep}`);
    await metrics.handsOver({ step: bestStep, evaluation: best.evaluation });
    return best.evaluation;
  }
  if (evaluation || !evaluator) return evaluation;
  job.phase('evaluate', 'evaluating the trained model');
  const isRepeated = checkpoint?.state.step === step;
  if (isRepeated) await rewindAnswers(runDir, step - 1);
  const found = await evaluateStep({ prepared, evaluator, runDir, step, job });
  if (!found) return undefined;
  if (isRepeated) await forgetEvaluation(runDir, step);
  await metrics.evaluation({ step, epoch }, found, before);
  return found;
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
