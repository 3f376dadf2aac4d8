/** The plan of a sweep: its runs and everything that determines their order. It is written once and never changes. */

import path from 'node:path';
import { z } from 'zod';
import { writeTextFile } from '../files/durable-file.ts';
import { readRegularText } from '../files/regular-file.ts';
import { parseSealedJson, sealJson } from '../files/sealed-json.ts';
import { isRecord } from '../narrow.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { RecipeSource } from '../protocol/messages/rpc-messages.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { settings as allSettings, settingValue } from '../protocol/recipe/recipe-schema.ts';
import { describeSettings, SWEEP_FILES } from '../protocol/run/sweep.ts';
import { withAbsolutePaths } from '../run/absolute-paths.ts';
import { RunError } from '../run-error.ts';
import type { ScheduleSettings } from './sweep-schedule.ts';
import { drawnRuns, gridRuns, type RunValues } from './sweep-values.ts';

const planSchema = z.strictObject({
  version: z.literal(1),
  name: z.string(),
  createdAt: z.string(),
  source: z.strictObject({ text: z.string(), fileName: z.string(), baseDir: z.string(), overrides: z.array(z.string()) }),
  strategy: z.enum(['grid', 'random', 'halving']),
  metric: z.string(),
  mode: z.enum(['min', 'max']),
  reductionFactor: z.int().min(2),
  minEvaluations: z.int().min(1),
  /** Number of simultaneous runs; with `workers`, the number of workers requested. */
  parallel: z.int().min(1),
  /**
   * Present if the runs are trained by workers that share the folder, on any number of machines; decisions then follow the order in which
   * results arrive. Absent if one process trains them, in an order that does not depend on timing.
   */
  workers: z
    .strictObject({
      /** Time without a sign of life after which a worker counts as lost, and others take its run. */
      lostAfterSeconds: z.number().min(1),
    })
    .optional(),
  runs: z
    .array(
      z.strictObject({
        id: z.string().regex(/^\d{1,9}$/, 'the id of a run must be a number'),
        settings: z.record(z.string(), z.unknown()),
        /** Overrides of the recipe, beyond the swept settings, that the sweep chose for this run. */
        fixed: z.array(z.string()),
      }),
    )
    .min(1),
});

export type SweepPlan = Readonly<z.infer<typeof planSchema>>;
export type PlannedRun = SweepPlan['runs'][number];

/** Room for thousands of runs with a few settings each, and the text of a recipe. */
const MAX_PLAN_BYTES = 32 * 2 ** 20;

/** Number of runs whose files are read at the same time. */
export const RUNS_AT_ONCE = 16;

export const runFolder = (sweepDir: string, { id }: Pick<PlannedRun, 'id'>): string => path.join(sweepDir, id);

export const scheduleOf = ({ strategy, mode, runs, reductionFactor, minEvaluations, parallel }: SweepPlan): ScheduleSettings => ({
  strategy,
  mode,
  runs: runs.length,
  reductionFactor,
  minEvaluations,
  parallel,
});

/** Parses the recipe. @throws RunError 'bad-sweep' if it has no sweep */
export function sweepRecipe(source: RecipeSource): Recipe {
  const { recipe, problems } = parseRecipe(source.text, source);
  if (recipe === undefined) throw badSweep(problems.filter(({ severity }) => severity === 'error').map(({ message }) => message));
  if (recipe.sweep.over === undefined)
    throw new RunError('bad-sweep', `${source.fileName} has no sweep`, 'Add a section: sweep: {over: {learning_rate: [1.0e-5, 1.0e-4]}}');
  return recipe;
}

const badSweep = (messages: readonly string[]): RunError => new RunError('bad-sweep', messages.join('; '));

/** Returns the values of every run, in starting order. */
export function sweepRuns(recipe: Recipe): RunValues[] {
  const { over = {}, strategy, seed = recipe.seed, max_runs } = recipe.sweep;
  const names = Object.keys(over);
  const types = Object.fromEntries(names.flatMap(name => (allSettings[name] ? [[name, allSettings[name].type]] : [])));
  const starts = Object.fromEntries(names.map(name => [name, settingValue(recipe, name)]));
  const space = { over, types, starts };
  return strategy === 'grid' ? gridRuns(space) : drawnRuns(space, { count: max_runs ?? 1, seed });
}

/**
 * Returns overrides for every run of the trained unit that the recipe has because of its sweep, which the recipe of a run does not contain.
 */
export const unitOfRuns = ({ trains, sweep: { over = {} } }: Recipe): string[] =>
  trains === 'rows' && !Object.hasOwn(over, 'trains') ? ['trains=rows'] : [];

/**
 * Returns the recipe of one run, which `rowtune train` would train in the same way. Defaults follow from its own values.
 * @throws RunError 'bad-sweep' if its values do not fit together
 */
export function runRecipe({ source, name }: Pick<SweepPlan, 'source' | 'name'>, { id, settings, fixed }: PlannedRun): Recipe {
  const values = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const overrides = [...source.overrides, 'sweep=', 'output_dir=', 'overwrite_output_dir=', `name=${name} ${id}`, ...values, ...fixed];
  const { recipe, problems } = parseRecipe(source.text, { fileName: source.fileName, overrides });
  if (recipe !== undefined) return withAbsolutePaths(recipe, source.baseDir);
  const errors = problems.filter(({ severity }) => severity === 'error').map(({ message }) => message);
  throw new RunError(
    'bad-sweep',
    `run ${id} (${describeSettings(settings)}): ${errors.join('; ')}`,
    'Change sweep.over, so that all values fit',
  );
}

export async function writePlan(sweepDir: string, plan: SweepPlan): Promise<void> {
  await writeTextFile(path.join(sweepDir, SWEEP_FILES.plan), sealJson(JSON.stringify(plan, null, 2)));
}

/** Reads the plan; undefined if the folder has none. @throws RunError 'bad-sweep' if the plan is damaged */
export async function readPlan(sweepDir: string): Promise<SweepPlan | undefined> {
  const file = path.join(sweepDir, SWEEP_FILES.plan);
  const text = await readRegularText(file, MAX_PLAN_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const { value } = parseSealedJson(text);
    const { crc32: _, ...plan } = isRecord(value) ? value : {};
    return planSchema.parse(plan);
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const reason = issue === undefined ? messageOf(error) : `${issue.path.join('.')}: ${issue.message}`;
    throw new RunError('bad-sweep', `${file} is damaged: ${reason}`, 'Restore it, or start a new sweep');
  }
}

/** Returns the error for a folder without a plan. */
export const noSweep = (sweepDir: string): RunError =>
  new RunError('bad-sweep', `${sweepDir} is not the folder of a sweep: ${SWEEP_FILES.plan} is missing`, 'Start one: rowtune sweep RECIPE');
