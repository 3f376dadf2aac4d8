/** The jobs 'train' and 'resume', which open the folder of a run and its checkpoint. */
import path from 'node:path';
import { removeHalfWritten } from '../../files/durable-file.ts';
import type { Job } from '../../job/job.ts';
import type { JobScope } from '../../job/job-scope.ts';
import type { Ranks } from '../../job/ranks.ts';
import type { JobRequest } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { stringifyRecipe } from '../../protocol/recipe/stringify-recipe.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { withAbsolutePaths } from '../../run/absolute-paths.ts';
import { beginRunFolder, dropReplaced, recoverReplaced } from '../../run/begin-run.ts';
import { removeLeftovers } from '../../run/checkpoint/checkpoint-folders.ts';
import { type Checkpoint, openLastCheckpoint, withReadableBest } from '../../run/checkpoint/load-checkpoint.ts';
import { isRunFile } from '../../run/run-folder.ts';
import { takeRunLock } from '../../run/run-lock.ts';
import { type RunState, readRunState, StateKeeper } from '../../run/run-state.ts';
import { RunError } from '../../run-error.ts';
import { guarded } from './guarded-run.ts';
import { joinRun, trainInProcesses } from './ranks/in-processes.ts';
import { withRanks } from './ranks/with-ranks.ts';
import { asBegun, checkUnchanged, checkUpdatesLeft, readResumeRecipe } from './resume-recipe.ts';
import type { TrainResult } from './train-result.ts';

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
  // Under a launcher, each process would otherwise choose a different free folder.
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
    // A rank may be killed while the others wait for it: the folder is then already that of a run, which may be started again.
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

/** Refuses scores that would be lost: starting a run deletes the files of an earlier run in its folder. */
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

/** Resumes in the other ranks; the first has opened the folder and its checkpoint. */
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
    } else logFromStart(runDir, earlier, job);
    const recipe = checkpoint ? asBegun(given, checkpoint.state) : given;
    // Provisional until the loop counts them again: overrides may have changed the total.
    const totalSteps = earlier?.totalSteps ?? 0;
    const shown = { totalSteps, epoch: earlier?.epoch, loss: earlier?.loss, metrics: earlier?.metrics };
    const keeper = new StateKeeper(runDir, { ...kindOf(recipe, runDir), startedAt, step, ...shown });
    const wasFinished = earlier?.state === 'finished';
    // Nothing has to be loaded to check this, unless the number of epochs was changed.
    const isSameLength = wasFinished && stringifyRecipe(recipe) === checkpoint?.state.recipe;
    if (!ranks && (recipe.max_steps > 0 || isSameLength))
      checkUpdatesLeft({ runDir, wasFinished }, checkpoint, recipe.max_steps > 0 ? recipe.max_steps : totalSteps);
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
 * Reports that a run starts from the beginning.
 * @throws RunError 'checkpoint-missing' if a finished run has lost its checkpoints: restarting would replace the rest of it
 */
function logFromStart(runDir: string, earlier: RunState | undefined, job: Job): void {
  if (earlier?.state === 'finished')
    throw new RunError(
      'checkpoint-missing',
      `the run in ${runDir} is finished, but its checkpoints are gone`,
      'Restore them, or train again with overwrite_output_dir: true, which replaces the run',
    );
  job.log('warning', `${runDir} has no checkpoint: the run starts over`);
}

/** The fields that distinguish a run from others in a list. */
const kindOf = ({ name, method, trains, task }: Recipe, runDir: string) => ({ name: name ?? path.basename(runDir), method, trains, task });
