/** A run in its folder, from its first state to its summary. Records how it ended, whatever the reason. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { isOneOf } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { trackerNames } from '../../catalog/trackers.ts';
import { writeJson } from '../../files/durable-file.ts';
import { byteSize } from '../../graph/types.ts';
import { MemoryMeter } from '../../job/memory-meter.ts';
import type { Base } from '../../job/open-base.ts';
import { required } from '../../narrow.ts';
import type { Forgetting } from '../../objective/causal/forgetting.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { namingSilentRanks } from '../../ranks/silent-ranks.ts';
import { rewindAnswers } from '../../run/answers-file.ts';
import { openLastCheckpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { readMetrics, rewindMetrics } from '../../run/metrics-file.ts';
import { offerContinuation } from '../../run/offer-continuation.ts';
import { writeRunRecipe } from '../../run/run-folder.ts';
import type { TrackedEnd } from '../../run/trackers/tracker.ts';
import { describeFailure, RunError } from '../../run-error.ts';
import { accumulates } from '../../train/training-params.ts';
import { forgettingOfRun } from '../measure-forgetting.ts';
import { resultOf } from './end-of-run.ts';
import { prepareTraining } from './prepare.ts';
import type { Prepared, RunParams } from './prepared.ts';
import { measureInference, rehearse } from './rehearse.ts';
import { checkUpdatesLeft } from './resume-recipe.ts';
import { newestOf, RunMetrics } from './run-metrics.ts';
import { runTrainLoop, totalStepsOf } from './train-loop.ts';
import type { TrainResult } from './train-result.ts';

/** Runs the training, and records in state.json how it ended. */
export async function guarded(params: RunParams): Promise<TrainResult> {
  const { runDir, recipe, job, keeper, checkpoint, begins } = params;
  try {
    // Write the state first: it distinguishes the folder of a run that was killed at once from a user's folder.
    await keeper.update({ state: 'preparing' });
    job.logTo(path.join(runDir, RUN_FILES.log));
    if (begins) await writeRunRecipe(runDir, recipe);
    if (checkpoint) job.log('info', `continuing from step ${checkpoint.state.step}`);
    return await run(params);
  } catch (thrown) {
    const { ranks, context, mainDir = runDir } = params;
    const error = job.explain(ranks ? await namingSilentRanks(ranks.explain(thrown), context.rank) : thrown);
    // A run that cannot be shortened is as before.
    const isStop = error instanceof RunError && (error.code === 'stopped' || error.code === 'nothing-left');
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

/** Runs a part of a run: all of it, the part up to a second choice of rows, or the part after it. */
async function runPart(params: RunParams): Promise<TrainResult | 'chooses again'> {
  const { runDir, job, keeper, checkpoint, mainDir } = params;
  const prepared = await prepareTraining({ ...params, startedAt: keeper.state.startedAt });
  try {
    // It was read completely; network drives and Windows could not delete an open checkpoint later.
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

/** Measures forgetting; a failure of the measurement does not fail the run. */
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

/** Starts the trackers; only the first of several processes reports the run. */
async function track({ runDir, recipe, context, mainDir }: RunParams, metrics: RunMetrics): Promise<void> {
  const names = recipe.report_to.filter(name => isOneOf(trackerNames, name));
  if (names.length === 0 || mainDir !== undefined) return;
  await metrics.trackWith([...new Set(names)], { runDir, recipe, lines: await readMetrics(runDir), settings: context.trackers });
}

/** Trains. Disposes of the session. */
async function trainPrepared(params: RunParams, prepared: Prepared): Promise<TrainResult | 'chooses again'> {
  const { runDir, job, keeper, checkpoint, recipe } = params;
  try {
    checkUpdatesLeft(params, checkpoint, totalStepsOf(prepared));
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
        // As with a stop, the second part continues with the trackers.
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
