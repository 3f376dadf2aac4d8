/** Data sets that a recipe names by their name on the hub, as files. */
import path from 'node:path';
import { isDataSetName } from '../files/data-set-name.ts';
import { commitOf, downloadDataSet, partOfDataSet } from '../hub/hub-dataset.ts';
import { HubError } from '../hub/hub-error.ts';
import { counted } from '../protocol/format.ts';
import type { RecipeScope } from './job-scope.ts';

/**
 * The scope with every data set of the hub replaced by the paths of its files; local paths stay as they are.
 * @throws HubError where there is neither a local file nor a data set of that name
 */
export async function withDataFiles<Scope extends RecipeScope>(
  scope: Scope,
  parts: readonly ('train' | 'eval')[] = ['train', 'eval'],
): Promise<Scope> {
  const { recipe, context } = scope;
  const data = { ...recipe.data };
  for (const part of parts) {
    if (!data[part].some(written => isDataSetName(written, context.baseDir))) continue;
    const files: string[] = [];
    for (const written of data[part])
      files.push(...(isDataSetName(written, context.baseDir) ? await download(scope, written, part) : [written]));
    data[part] = files;
  }
  return { ...scope, recipe: { ...recipe, data } };
}

async function download({ recipe, context, job }: RecipeScope, written: string, part: 'train' | 'eval'): Promise<string[]> {
  const local = path.resolve(context.baseDir, written);
  const of = partOfDataSet(written, recipe.data, part);
  job.phase('download-data', `${local} does not exist: looking for the data set ${written} (${of.split}) on the hub`);
  let report: ((done: number, message?: string) => void) | undefined;
  try {
    const files = await downloadDataSet(of, {
      cacheDir: context.cacheDir,
      ...context.hub,
      signal: job.signal,
      onWarning: message => job.log('warning', message),
      onProgress: ({ bytes, totalBytes, file }) => {
        report ??= job.progress('download-data', totalBytes, 'bytes', bytes);
        report(bytes, file);
      },
    });
    const [first] = files;
    if (first !== undefined) job.log('info', `${written} (${of.split}): ${counted(files.length, 'file')} of commit ${commitOf(first)}`);
    return files;
  } catch (error) {
    // An AbortError does not contain the reason.
    job.checkStop();
    if (!(error instanceof HubError)) throw error;
    throw new HubError(error.failure, `${error.message} (${local} does not exist either)`, { cause: error });
  }
}
