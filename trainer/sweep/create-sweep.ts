/** Writes the plan of a new sweep into its folder: the values of every run, each validated as the recipe that it becomes. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../files/durable-folder.ts';
import type { RecipeSource } from '../protocol/messages/job-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { LOCK_FILE, takeRunLock } from '../run/run-lock.ts';
import { RunError } from '../run-error.ts';
import { runRecipe, type SweepPlan, sweepRecipe, sweepRuns, unitOfRuns, writePlan } from './sweep-plan.ts';

export interface ParallelPlan {
  readonly parallel: number;
  /** Overrides for each run: the choices that would otherwise depend on the free memory when it starts. */
  readonly fixed: readonly (readonly string[])[];
}

type PlanWorkers = (
  recipes: readonly Recipe[],
  /** The number of simultaneous runs that the recipe sets. */
  wanted: number | undefined,
) => Promise<ParallelPlan & Pick<SweepPlan, 'workers'>>;

/** Writes the plan. @throws RunError 'bad-sweep' if the values of a run are invalid; 'output-not-empty' if the folder is not empty */
export async function writeNewPlan(sweepDir: string, source: RecipeSource, planWorkers: PlanWorkers): Promise<SweepPlan> {
  await requireEmpty(sweepDir);
  const recipe = sweepRecipe(source);
  const { strategy = 'grid', metric = 'loss', mode = 'min', reduction_factor = 3, min_evaluations = 1 } = recipe.sweep;
  const values = sweepRuns(recipe);
  const digits = Math.max(3, String(values.length).length);
  const own = { text: source.text, fileName: source.fileName, baseDir: source.baseDir, overrides: [...(source.overrides ?? [])] };
  const named = { source: own, name: recipe.name ?? path.basename(sweepDir) };
  const runs = values.map((settings, index) => ({
    id: String(index + 1).padStart(digits, '0'),
    settings: { ...settings },
    fixed: unitOfRuns(recipe),
  }));
  // Every recipe is validated before anything runs.
  const recipes = runs.map(run => runRecipe(named, run));
  const { parallel, fixed, workers } = await planWorkers(recipes, recipe.sweep.parallel);
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
    ...(workers && { workers }),
    runs: runs.map((run, index) => ({ ...run, fixed: [...run.fixed, ...(fixed[index] ?? [])] })),
  };
  await writePlan(sweepDir, plan);
  return plan;
}

async function requireEmpty(sweepDir: string): Promise<void> {
  const present = (await readdir(sweepDir)).filter(name => name !== LOCK_FILE);
  if (present.length === 0) return;
  const isSweep = present.includes(SWEEP_FILES.plan);
  throw new RunError(
    'output-not-empty',
    isSweep ? `${sweepDir} already contains a sweep` : `the output folder ${sweepDir} is not empty`,
    `${isSweep ? `Continue it with: rowtune sweep ${shellWord(sweepDir)}. Or choose` : 'Choose'} another output_dir`,
  );
}

/** A sweep whose runs are trained by workers on several machines. */
export interface SharedSweepParams {
  readonly sweepDir: string;
  readonly source: RecipeSource;
  /** Number of simultaneous workers if the recipe does not set it; never more than there are runs. */
  readonly parallel: number;
  readonly lostAfterSeconds: number;
  /** Overrides for every run. */
  readonly fixed: readonly string[];
}

/**
 * Creates the folder of such a sweep. Estimates no memory: its machines may differ from this one.
 * @throws RunError 'bad-sweep' if the values of a run are invalid; 'output-not-empty' if the folder is not empty
 */
export async function createSharedSweep({ sweepDir, source, parallel, lostAfterSeconds, fixed }: SharedSweepParams): Promise<SweepPlan> {
  await requireUsableOutput(sweepDir);
  await makeFolder(sweepDir);
  const release = takeRunLock(sweepDir, () => undefined);
  try {
    return await writeNewPlan(sweepDir, source, async (recipes, wanted) => ({
      parallel: Math.min(wanted ?? parallel, recipes.length),
      fixed: recipes.map(() => fixed),
      workers: { lostAfterSeconds },
    }));
  } finally {
    release();
  }
}
