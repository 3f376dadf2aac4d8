/** A run folder: its layout, how one is begun, and the list of all runs under a folder. */
import { rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { renameIfThere } from '../files/durable-folder.ts';
import { FolderWalk, type WalkBudget } from '../files/folder-walk.ts';
import { MAX_STATE_BYTES, ReadRefusedError, readRegularText } from '../files/regular-file.ts';
import { partialPath } from '../importance/partial-scores.ts';
import { isRunning } from '../machine/process-identity.ts';
import { parseRecipe } from '../protocol/parse-recipe.ts';
import { hasErrors } from '../protocol/problem.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { RUN_FILES } from '../protocol/run-files.ts';
import { stringifyRecipe } from '../protocol/stringify-recipe.ts';
import { RunError } from '../run-error.ts';
import { hasCheckpoint } from './has-checkpoint.ts';
import { takeRunLock } from './run-lock.ts';
import { type RunState, readRunState, STATE_FILE } from './run-state.ts';

/** Of a run, what a heatmap is drawn from. */
export const HEATMAP_FILES: readonly string[] = [
  RUN_FILES.recipe,
  RUN_FILES.coverage,
  RUN_FILES.selection,
  RUN_FILES.scores,
  partialPath(RUN_FILES.scores),
];

/** Enough for thousands of runs beside a data set; a listing is awaited by a person. */
const LIST_BUDGET: WalkBudget = { maxDepth: 3, maxEntries: 200_000, maxMs: 5000 };
/** As many as fit a message and a tree. */
const MAX_LISTED_RUNS = 10_000;

const partialScores = partialPath(RUN_FILES.scores);
/** What a run writes into its folder, by name. state.json is the last: as long as it is there, the folder is known for a run's. */
export const RUN_FILE_NAMES: readonly string[] = [
  ...Object.values(RUN_FILES),
  `${RUN_FILES.scores}.json`,
  partialScores,
  `${partialScores}.json`,
  STATE_FILE,
];

export const isRunFile = (name: string): boolean => RUN_FILE_NAMES.includes(name);

/** The folder in which a run lies that another replaces, until that has done its first update. */
export const REPLACED = '.replaced';

/** By its state, or by its recipe: with every default filled in and in the order of the schema, nobody else writes one so. */
export async function isRunFolder(runDir: string): Promise<boolean> {
  if ((await readRunState(runDir)) !== undefined) return true;
  try {
    const text = await readRegularText(path.join(runDir, RUN_FILES.recipe), MAX_STATE_BYTES);
    const { recipe } = parseRecipe(text, { fileName: RUN_FILES.recipe });
    return recipe !== undefined && stringifyRecipe(recipe) === text;
  } catch {
    return false;
  }
}

/** Takes away what an earlier run left; only names that a run writes, so that a wrong output_dir costs nothing else. */
export async function clearRunFolder(runDir: string): Promise<void> {
  for (const name of RUN_FILE_NAMES) await rm(path.join(runDir, name), { recursive: true, force: true });
}

/** As {@link clearRunFolder}, for what a run left that did no update: what it said is kept under another name. */
export async function clearUnbegunRun(runDir: string): Promise<void> {
  await renameIfThere(path.join(runDir, RUN_FILES.log), path.join(runDir, RUN_FILES.earlierLog));
  // state.json goes last: as long as it is there, the folder is known for a run's.
  for (const name of RUN_FILE_NAMES) if (name !== RUN_FILES.earlierLog) await rm(path.join(runDir, name), { recursive: true, force: true });
}

/**
 * Takes away a run. What else lies in its folder (an exported model, the files of a folder that was given as output_dir) stays.
 * @throws RunError 'run-busy' where a process works in it
 */
export async function deleteRunFolder(runDir: string): Promise<void> {
  const release = takeRunLock(runDir, () => undefined);
  try {
    await clearRunFolder(runDir);
    await rm(path.join(runDir, REPLACED), { recursive: true, force: true });
  } finally {
    release();
  }
  await rmdir(runDir).catch((error: NodeJS.ErrnoException) => {
    // Something else lies in it, or is mounted there.
    if (!['ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(error.code ?? '')) throw error;
  });
}

export const writeRunRecipe = (runDir: string, recipe: Recipe): Promise<void> =>
  writeTextFile(path.join(runDir, RUN_FILES.recipe), stringifyRecipe(recipe));

/** @throws RunError where there is no recipe or it can't be read, with all its problems */
export async function readRunRecipe(runDir: string, overrides: readonly string[] = []): Promise<Recipe> {
  const file = path.join(runDir, RUN_FILES.recipe);
  const text = await readRegularText(file, MAX_STATE_BYTES).catch(error => {
    if (error instanceof ReadRefusedError) throw error;
    return undefined;
  });
  if (text === undefined) throw new RunError('run-missing', `${runDir} is no run folder: ${RUN_FILES.recipe} is missing`);
  const { recipe, problems } = parseRecipe(text, { fileName: file, overrides });
  if (recipe && !hasErrors(problems)) return recipe;
  const wrong = problems.filter(({ severity }) => severity === 'error').map(({ message }) => message);
  throw new RunError(overrides.length > 0 ? 'invalid-override' : 'run-missing', `${file}: ${wrong.join('; ')}`);
}

/** A line of `rowtune runs`. A run whose process is gone without a word is 'interrupted'. */
export interface RunSummary extends Omit<RunState, 'state'> {
  readonly runDir: string;
  readonly state: RunState['state'] | 'interrupted';
  /** Since something was last heard of it. */
  readonly ageSeconds: number;
  /** There is a checkpoint to continue from. */
  readonly resumable: boolean;
}

export async function summarizeRun(runDir: string, now = Date.now()): Promise<RunSummary | undefined> {
  const state = await readRunState(runDir);
  if (!state) return undefined;
  const isActive = state.state === 'preparing' || state.state === 'running';
  const ageSeconds = Math.max(0, (now - Date.parse(state.updatedAt)) / 1000);
  const shown = isActive && !isRunning(state) ? 'interrupted' : state.state;
  return { ...state, runDir, state: shown, ageSeconds, resumable: hasCheckpoint(runDir) };
}

export interface RunList {
  /** Newest first. */
  readonly runs: readonly RunSummary[];
  /** Not every folder could be looked at within the bounds of a listing. */
  readonly truncated: boolean;
}

/** Runs at or under the folders. A run folder is not searched for further runs. */
export async function listRuns(roots: readonly string[], budget = LIST_BUDGET): Promise<RunList> {
  const walk = new FolderWalk(budget);
  const found = new Map<string, RunSummary>();
  for (const root of roots)
    for await (const { path: folder, entries, folders } of walk.below(root)) {
      const run = entries.some(({ name }) => name === STATE_FILE) ? await summarizeRun(folder) : undefined;
      if (!run) continue;
      folders.clear();
      found.set(folder, run);
      if (found.size >= MAX_LISTED_RUNS) walk.cut();
    }
  return { runs: [...found.values()].sort((a, b) => b.startedAt.localeCompare(a.startedAt)), truncated: walk.truncated };
}
