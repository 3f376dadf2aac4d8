/** A run folder: its layout, how a run starts in it, and the list of all runs in a folder. */
import { rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { renameIfThere } from '../files/durable-folder.ts';
import { FolderWalk, type WalkBudget, type WalkedFolder } from '../files/folder-walk.ts';
import { MAX_STATE_BYTES, ReadRefusedError, readRegularText } from '../files/regular-file.ts';
import { partialPath } from '../importance/partial-scores.ts';
import { ENDED_BY_SWEEP, PAUSED_BY_SWEEP } from '../protocol/messages/job-messages.ts';
import { hasErrors } from '../protocol/problem.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { stringifyRecipe } from '../protocol/recipe/stringify-recipe.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { RUN_FILES, STATE_FILE, SUBMISSION } from '../protocol/run/run-files.ts';
import { RunError } from '../run-error.ts';
import { hasCheckpoint } from './has-checkpoint.ts';
import { takeRunLock } from './run-lock.ts';
import { type RunNotes, readRunNotes } from './run-notes.ts';
import { ageOf, isAtWork, type RunState, readRunState } from './run-state.ts';
import { isFinishedSweep, isSweepFolder } from './sweep-folder.ts';

/** The files of a run that a heatmap uses. */
export const HEATMAP_FILES: readonly string[] = [
  RUN_FILES.recipe,
  RUN_FILES.coverage,
  RUN_FILES.selection,
  RUN_FILES.scores,
  partialPath(RUN_FILES.scores),
];

/** Budget of a listing, for which a user waits: enough for thousands of runs next to a data set. */
const LIST_BUDGET: WalkBudget = { maxDepth: 3, maxEntries: 200_000, maxMs: 5000 };
/** Maximum number of runs in a listing, so that they fit in a message and a tree. */
const MAX_LISTED_RUNS = 10_000;
/** Number of runs that are read at once, each by a thread of Node's pool, while the walk continues. */
const READ_AT_ONCE = 4;

const partialScores = partialPath(RUN_FILES.scores);
/** The names of the files that a run writes. state.json is last: as long as it exists, the folder is recognized as a run's. */
export const RUN_FILE_NAMES: readonly string[] = [
  ...Object.values(RUN_FILES),
  `${RUN_FILES.scores}.json`,
  partialScores,
  `${partialScores}.json`,
  STATE_FILE,
];

export const isRunFile = (name: string): boolean => RUN_FILE_NAMES.includes(name);

/** The folder of a replaced run until its successor has made its first update. */
export const REPLACED = '.replaced';

/** True for a run folder, recognized by its state, or by its recipe: no other program writes one with every default in schema order. */
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

/** Removes the files of an earlier run; only names that a run writes, so that a wrong output_dir loses no other files. */
export async function clearRunFolder(runDir: string): Promise<void> {
  for (const name of RUN_FILE_NAMES) await rm(path.join(runDir, name), { recursive: true, force: true });
}

/** Removes the files of a run without any update, as {@link clearRunFolder} does, but keeps its log under another name. */
export async function clearUnbegunRun(runDir: string): Promise<void> {
  await renameIfThere(path.join(runDir, RUN_FILES.log), path.join(runDir, RUN_FILES.earlierLog));
  // Remove state.json last: as long as it exists, the folder is recognized as a run's.
  for (const name of RUN_FILE_NAMES) if (name !== RUN_FILES.earlierLog) await rm(path.join(runDir, name), { recursive: true, force: true });
}

/**
 * Deletes a run. Other files in its folder (an exported model, the files of a folder used as output_dir) stay.
 * @throws RunError 'run-busy' if a process works in it
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
    // It contains other files, or is a mount point.
    if (!['ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(error.code ?? '')) throw error;
  });
}

export const writeRunRecipe = (runDir: string, recipe: Recipe): Promise<void> =>
  writeTextFile(path.join(runDir, RUN_FILES.recipe), stringifyRecipe(recipe));

/** @throws RunError with all problems if the recipe is missing or cannot be read */
export async function readRunRecipe(runDir: string, overrides: readonly string[] = []): Promise<Recipe> {
  const file = path.join(runDir, RUN_FILES.recipe);
  const text = await readRegularText(file, MAX_STATE_BYTES).catch(error => {
    if (error instanceof ReadRefusedError) throw error;
    return undefined;
  });
  if (text === undefined) throw new RunError('run-missing', `${runDir} is not a run folder: ${RUN_FILES.recipe} is missing`);
  const { recipe, problems } = parseRecipe(text, { fileName: file, overrides });
  if (recipe && !hasErrors(problems)) return recipe;
  const wrong = problems.filter(({ severity }) => severity === 'error').map(({ message }) => message);
  throw new RunError(overrides.length > 0 ? 'invalid-override' : 'run-missing', `${file}: ${wrong.join('; ')}`);
}

/** The data for a line of `rowtune runs`. A run whose process ended unexpectedly is 'interrupted'. */
export interface RunSummary extends Omit<RunState, 'state'>, Omit<RunNotes, 'name'> {
  readonly runDir: string;
  /** The folder of the sweep that it belongs to. */
  readonly sweepDir?: string;
  readonly state: RunState['state'] | 'interrupted';
  /** Seconds since its last update. */
  readonly ageSeconds: number;
  /** Whether there is a checkpoint to continue from. */
  readonly resumable: boolean;
}

export async function summarizeRun(runDir: string, now = Date.now()): Promise<RunSummary | undefined> {
  const state = await readRunState(runDir);
  if (!state) return undefined;
  const shown = isActive(state.state) && !isAtWork(runDir, state, now) ? 'interrupted' : state.state;
  const parent = path.dirname(runDir);
  const sweepDir = isSweepFolder(parent) ? parent : undefined;
  const isLoser = state.reason === PAUSED_BY_SWEEP && sweepDir !== undefined && isFinishedSweep(sweepDir);
  const reason = isLoser ? ENDED_BY_SWEEP : state.reason;
  const notes = await readRunNotes(runDir);
  return { ...state, ...notes, runDir, sweepDir, reason, state: shown, ageSeconds: ageOf(state, now), resumable: hasCheckpoint(runDir) };
}

export interface FoundRuns {
  /** The runs: pinned ones first, each group from newest to oldest. */
  readonly runs: readonly RunSummary[];
  /** Folders of runs and sweeps that were submitted to Slurm, whether they have begun or not. */
  readonly submitted: readonly string[];
  /** Whether some folders could not be searched within the limits of a listing. */
  readonly truncated: boolean;
}

/** Lists runs at or below the folders. Run folders are not searched for further runs. */
export async function listRuns(roots: readonly string[], budget = LIST_BUDGET): Promise<FoundRuns> {
  const walk = new FolderWalk(budget);
  const found = new Map<string, RunSummary>();
  const submitted: string[] = [];
  const reading = new Set<Promise<void>>();
  /** It grows by what is inside of folders whose state.json is not a run's: they are searched like other folders. */
  const searched = roots.map(folder => ({ folder, depth: 0 }));

  async function read({ path: folder, depth, folders }: WalkedFolder): Promise<void> {
    const inside = [...folders].map(name => ({ folder: path.join(folder, name), depth: depth + 1 }));
    folders.clear();
    const run = await summarizeRun(folder);
    if (run === undefined) searched.push(...inside);
    else found.set(folder, run);
    if (found.size >= MAX_LISTED_RUNS) walk.cut();
  }

  for (const next of searched) {
    for await (const one of walk.below(next.folder, next.depth)) {
      const has = (file: string): boolean => one.entries.some(({ name }) => name === file);
      if (one.path.endsWith(SUBMISSION.suffix) && has(SUBMISSION.record)) {
        submitted.push(one.path.slice(0, -SUBMISSION.suffix.length));
        one.folders.clear();
      } else if (has(STATE_FILE)) {
        // After an error, it stays in the set, so that a wait throws the error.
        const work = read(one).then(() => void reading.delete(work));
        work.catch(() => undefined);
        reading.add(work);
        if (reading.size >= READ_AT_ONCE) await Promise.race(reading);
      }
    }
    if (next === searched.at(-1)) await Promise.all(reading);
  }
  return { runs: inOrder([...found.values()]), submitted, truncated: walk.truncated };
}

/** Sorts runs: pinned ones first, each group from newest to oldest. */
export function inOrder<Run extends { readonly startedAt: string; readonly pinned?: boolean | undefined }>(
  runs: readonly Run[],
): readonly Run[] {
  const isPinned = ({ pinned }: Run): number => Number(pinned === true);
  return [...runs].sort((a, b) => isPinned(b) - isPinned(a) || b.startedAt.localeCompare(a.startedAt));
}
