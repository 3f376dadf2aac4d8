/** Submits a run to Slurm: a new one from a recipe, or the rest of one that has stopped. */
import path from 'node:path';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { stringifyRecipe } from '../protocol/recipe/stringify-recipe.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { withAbsolutePaths } from '../run/absolute-paths.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { type FreeRunFolderParams, freeRunFolder, recipeName } from '../run/free-run-folder.ts';
import { isRunFolder, readRunRecipe } from '../run/run-folder.ts';
import { readRunState } from '../run/run-state.ts';
import { requireTypedCommand } from '../run/typed-command.ts';
import { RunError } from '../run-error.ts';
import { jobScript, slurmFiles, slurmLog } from './job-script.ts';
import type { SlurmProfile } from './profile.ts';
import { requireNoJob, type SubmitOptions, submitScript } from './submit-script.ts';

export interface SubmittedRun {
  readonly jobId: string;
  readonly runDir: string;
  readonly processes: number;
  /** Path of its log, which may not exist yet. */
  readonly log: string;
}

const processesOf = ({ nodes, tasks_per_node: each }: SlurmProfile): number => nodes * each;

/**
 * Submits a new run.
 * @throws RunError 'output-not-empty' for a folder that contains a run; 'run-busy' for a run that has a Slurm job; 'unsupported' for a
 * transport that opens ports; 'slurm-failed' if Slurm rejects it
 */
export async function submitNewRun(params: FreeRunFolderParams, options: SubmitOptions): Promise<SubmittedRun> {
  const { recipe, recipeFile, baseDir } = params;
  const runDir = await freeRunFolder(params);
  await requireUsableOutput(runDir);
  if (await isRunFolder(runDir))
    throw new RunError(
      'output-not-empty',
      `${runDir} already contains a run`,
      `Continue it with: rowtune resume ${shellWord(runDir)} --on slurm; or choose another output_dir`,
    );
  // The job determines the number of processes and the folder of the run.
  const text = stringifyRecipe({ ...withAbsolutePaths(recipe, baseDir), processes: 1, output_dir: undefined });
  return submit({ runDir, recipe, name: recipeName(recipe, recipeFile), text }, options);
}

/** Submits the rest of a run. @throws RunError as `submitNewRun`, or 'nothing-left' for a finished run */
export async function submitRestOfRun(runDir: string, options: SubmitOptions): Promise<SubmittedRun> {
  const state = await readRunState(runDir);
  if (state?.state === 'finished')
    throw new RunError(
      'nothing-left',
      `the run in ${runDir} has completed all of its ${state.totalSteps} updates`,
      'To extend it, raise max_steps or num_train_epochs without Slurm, for example: ' +
        `rowtune resume ${shellWord(runDir)} max_steps=${2 * state.totalSteps}`,
    );
  return submit({ runDir, recipe: await readRunRecipe(runDir, []), name: path.basename(runDir) }, options);
}

interface RunToSubmit {
  readonly runDir: string;
  readonly recipe: Pick<Recipe, 'process_transport'>;
  readonly name: string;
  /** The recipe of a new run. */
  readonly text?: string;
}

async function submit({ runDir, recipe, name, text }: RunToSubmit, { profile, command, opensPorts }: SubmitOptions): Promise<SubmittedRun> {
  requireTypedCommand(recipe.process_transport, { opensPorts });
  await requireNoJob(runDir);
  const files = slurmFiles(runDir);
  const script = jobScript({ profile, name, runDir, files, command });
  const jobId = await submitScript({ folder: runDir, script, logName: '%j', recipe: text });
  return { jobId, runDir, processes: processesOf(profile), log: slurmLog(files, jobId) };
}
