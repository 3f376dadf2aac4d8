/** Resolves a model on the command line: a run folder, a model folder or file, or a name on the hub. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { firstNames } from '../files/folder-walk.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { requireBase } from '../run/require-base.ts';
import { isRunFolder, readRunRecipe } from '../run/run-folder.ts';
import { CliError, EXIT } from './cli-error.ts';

/** Maximum number of runs to name in a message. */
const MAX_SHOWN_RUNS = 10;
/** Maximum number of entries of a folder to look at, and the number of those that are read at the same time. */
const [MAX_ENTRIES, READ_AT_ONCE] = [10_000, 16];

export interface NamedModel {
  readonly model: string;
  readonly revision: string;
  readonly adapter?: string;
}

export interface NamedModelOptions {
  readonly adapter?: string | undefined;
  readonly revision: string;
  readonly cwd: string;
}

/**
 * The model and its adapter. A run folder stands for its base model with its adapter, unless another adapter is given.
 * @throws CliError for a missing run, RunError for a missing base
 */
export async function modelAndAdapter(name: string, { adapter, revision, cwd }: NamedModelOptions): Promise<NamedModel> {
  const local = path.resolve(cwd, name);
  const given = adapter === undefined ? undefined : path.resolve(cwd, adapter);
  if (!(await isRunFolder(local))) {
    const isHere = existsSync(local);
    if (!isHere) await requireNoRuns(local, name);
    return { model: isHere ? local : name, revision, adapter: given };
  }
  const recipe = await readRunRecipe(local);
  requireBase(recipe.model, name, `rowtune generate PATH --adapter ${shellWord(name)}, or export the run with --model PATH`);
  return { model: recipe.model, revision: recipe.revision, adapter: given ?? local };
}

/** @throws CliError that names the existing runs, if the name is not one of them or is the name of their folder */
export async function requireNoRuns(local: string, name: string): Promise<void> {
  const isFolder = existsSync(local);
  const folder = isFolder ? local : path.dirname(local);
  const entries = (await firstNames(folder, MAX_ENTRIES)).sort();
  const areRuns = await mapAtOnce(entries, READ_AT_ONCE, entry => isRunFolder(path.join(folder, entry)));
  const runs = entries.filter((_, i) => areRuns[i]);
  if (runs.length === 0) return;
  const shown = runs.slice(0, MAX_SHOWN_RUNS).map(run => path.join(isFolder ? name : path.dirname(name), run));
  throw new CliError(isFolder ? `${name} is a folder of runs, not a run` : `there is no run at ${name}`, {
    code: 'run-missing',
    exitStatus: EXIT.usage,
    hint: `The runs there are ${shown.join(', ')}${runs.length > shown.length ? ` and ${runs.length - shown.length} more` : ''}.`,
  });
}
