/** Facts about the runs of a recipe on disk: the newest one, and whether its output folder is free. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { firstNames } from '../../files/folder-walk.ts';
import { whyNotWritable } from '../../files/output-place.ts';
import { STATE_FILE } from '../../protocol/run/run-files.ts';
import { RUNS_FOLDER, recipeName } from '../../run/free-run-folder.ts';
import { endedBeforeFirstStep } from '../../run/run-state.ts';

export interface RunFacts {
  /** The folder of the newest run of this recipe. */
  readonly last?: string;
  /** The state of `output_dir`; 'free' if the recipe does not set it, or if its run has no update yet. */
  readonly output: 'free' | 'run' | 'occupied';
  /** The reason why no run can be written to `output_dir`. */
  readonly unusable?: string;
}

/** Maximum number of entries to read in the folder of runs. */
const MAX_LOOKED_AT = 10_000;
/** Maximum number of numbered runs of one recipe: more than anyone keeps. */
const MAX_RUNS = 1000;

export interface RunFactsParams {
  readonly name?: string;
  readonly outputDir?: string;
  /** The file name of the recipe. */
  readonly file: string;
  readonly baseDir: string;
}

/** Reads the facts. Never rejects. */
export async function readRunFacts({ name, outputDir, file, baseDir }: RunFactsParams): Promise<RunFacts> {
  if (outputDir !== undefined) {
    const folder = path.resolve(baseDir, outputDir);
    const unusable = await whyNotWritable(folder);
    if (unusable !== undefined) return { output: 'free', unusable };
    if ((await startedAt(folder)) !== undefined) return { last: folder, output: (await endedBeforeFirstStep(folder)) ? 'free' : 'run' };
    return { output: (await firstNames(folder, 1)).length === 0 ? 'free' : 'occupied' };
  }
  const own = recipeName({ name }, file);
  const runs = path.resolve(baseDir, RUNS_FOLDER);
  const names = (await firstNames(runs, MAX_LOOKED_AT)).filter(found => isNumbered(found, own)).slice(0, MAX_RUNS);
  const found = await Promise.all(
    names.map(async found => ({ folder: path.join(runs, found), at: await startedAt(path.join(runs, found)) })),
  );
  const newest = found.reduce((best, run) => ((run.at ?? 0) > (best?.at ?? 0) ? run : best), found[0]);
  return newest?.at === undefined ? { output: 'free' } : { last: newest.folder, output: 'free' };
}

/** True for the folders of a recipe's runs: spam, spam-2, spam-3 … */
const isNumbered = (found: string, own: string): boolean =>
  found === own || (found.startsWith(`${own}-`) && /^\d+$/.test(found.slice(own.length + 1)));

/** The time at which the run's state was last written; undefined if the folder is not a run. */
const startedAt = async (folder: string): Promise<number | undefined> =>
  (await stat(path.join(folder, STATE_FILE)).catch(() => undefined))?.mtimeMs;
