/** A model named on the command line: a run folder, a model folder or file, or a name on the hub. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readRunRecipe } from '../run/run-folder.ts';
import { isRunFolder } from './job-command.ts';

export interface NamedModel {
  readonly model: string;
  readonly revision: string;
  readonly adapter?: string;
}

/** A run folder stands for its base model with its adapter, unless another adapter is given. */
export async function modelAndAdapter(
  name: string,
  { adapter, revision, cwd }: { readonly adapter?: string | undefined; readonly revision: string; readonly cwd: string },
): Promise<NamedModel> {
  const local = path.resolve(cwd, name);
  const given = adapter === undefined ? undefined : path.resolve(cwd, adapter);
  if (!isRunFolder(local)) return { model: existsSync(local) ? local : name, revision, adapter: given };
  const recipe = await readRunRecipe(local);
  return { model: recipe.model, revision: recipe.revision, adapter: given ?? local };
}
