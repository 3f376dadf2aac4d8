/** Opens the folder of a sweep: takes its lock, and writes its plan or reads the one that is there. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten } from '../files/durable-file.ts';
import { makeFolder } from '../files/durable-folder.ts';
import type { JobScope } from '../job/job-scope.ts';
import { counted } from '../protocol/format.ts';
import type { RecipeSource } from '../protocol/job-messages.ts';
import { SWEEP_FILES } from '../protocol/sweep.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { LOCK_FILE, takeRunLock } from '../run/run-lock.ts';
import { RunError } from '../run-error.ts';
import { planParallel } from './plan-parallel.ts';
import { readPlan, runRecipe, type SweepPlan, sweepRecipe, sweepRuns, writePlan } from './sweep-plan.ts';

export interface OpenSweepParams extends JobScope {
  readonly sweepDir: string;
  /** The recipe of a new sweep. */
  readonly source?: RecipeSource;
}

export interface OpenedSweep {
  readonly plan: SweepPlan;
  readonly release: () => void;
}

/**
 * @throws RunError 'bad-sweep' if there is no plan, or the values of a run do not fit; 'output-not-empty' if a new
 * sweep's folder contains something; 'run-busy' if another process works in it
 */
export async function openSweep(params: OpenSweepParams): Promise<OpenedSweep> {
  const { sweepDir, source, job } = params;
  if (source === undefined && (await readPlan(sweepDir)) === undefined) throw noSweep(sweepDir);
  await requireUsableOutput(sweepDir);
  await makeFolder(sweepDir);
  const release = takeRunLock(sweepDir, message => job.log('warning', message));
  try {
    await removeHalfWritten(sweepDir, name => Object.values<string>(SWEEP_FILES).includes(name));
    const plan = source === undefined ? await readPlan(sweepDir) : await newPlan(params, source);
    if (plan === undefined) throw noSweep(sweepDir);
    job.logTo(path.join(sweepDir, SWEEP_FILES.log));
    return { plan, release };
  } catch (error) {
    release();
    throw error;
  }
}

const noSweep = (sweepDir: string): RunError =>
  new RunError('bad-sweep', `${sweepDir} is not the folder of a sweep: ${SWEEP_FILES.plan} is missing`, 'Start one: rowtune sweep RECIPE');

async function newPlan({ sweepDir, context, job }: OpenSweepParams, source: RecipeSource): Promise<SweepPlan> {
  await requireEmpty(sweepDir);
  job.phase('plan', 'planning the sweep');
  const recipe = sweepRecipe(source);
  const { strategy = 'grid', metric = 'loss', mode = 'min', reduction_factor = 3, min_evaluations = 1 } = recipe.sweep;
  const values = sweepRuns(recipe);
  const digits = Math.max(3, String(values.length).length);
  const own = { text: source.text, fileName: source.fileName, baseDir: source.baseDir, overrides: [...(source.overrides ?? [])] };
  const named = { source: own, name: recipe.name ?? path.basename(sweepDir) };
  const runs = values.map((settings, index) => ({ id: String(index + 1).padStart(digits, '0'), settings: { ...settings }, fixed: [] }));
  // Every recipe is checked before anything runs.
  const recipes = runs.map(run => runRecipe(named, run));
  const { parallel, fixed } = await planParallel({ recipes, wanted: recipe.sweep.parallel, context, job });
  const plan: SweepPlan = {
    version: 1,
    ...named,
    createdAt: new Date().toISOString(),
    strategy,
    metric,
    mode,
    reductionFactor: reduction_factor,
    minEvaluations: min_evaluations,
    parallel,
    runs: runs.map((run, index) => ({ ...run, fixed: [...(fixed[index] ?? [])] })),
  };
  await writePlan(sweepDir, plan);
  job.log('info', `${counted(runs.length, 'run')} (${strategy}), compared by ${metric}`);
  return plan;
}

async function requireEmpty(sweepDir: string): Promise<void> {
  const present = (await readdir(sweepDir)).filter(name => name !== LOCK_FILE);
  if (present.length === 0) return;
  const isSweep = present.includes(SWEEP_FILES.plan);
  throw new RunError(
    'output-not-empty',
    isSweep ? `${sweepDir} already contains a sweep` : `the output folder ${sweepDir} is not empty`,
    `${isSweep ? `Continue it with: rowtune sweep ${sweepDir}. Or choose` : 'Choose'} another output_dir`,
  );
}
