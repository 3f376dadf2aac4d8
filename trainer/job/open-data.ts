/** Data sets that a recipe names by their name on the hub, as files. */
import path from 'node:path';
import { writeBeginning } from '../data/read/parquet-beginning.ts';
import { isDataSetName } from '../files/data-set-name.ts';
import { commitOf, type DataSetPart, findBeginning, findDataSet, openDataSet, partOfDataSet } from '../hub/hub-dataset.ts';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { HubError } from '../hub/hub-error.ts';
import type { RecipeScope } from './job-scope.ts';
import { type FirstSamples, firstSamples, remoteData } from './remote-data.ts';

/**
 * The scope with every data set of the hub replaced by the paths of its files; local paths stay as they are.
 * @throws HubError where there is neither a local file nor a data set of that name
 */
export const withDataFiles = <Scope extends RecipeScope>(
  scope: Scope,
  parts: readonly ('train' | 'eval')[] = ['train', 'eval'],
): Promise<Scope> => replaceNames(scope, parts, (of, written, count) => download(scope, { of, written, count }));

async function replaceNames<Scope extends RecipeScope>(
  scope: Scope,
  parts: readonly ('train' | 'eval')[],
  filesOf: (of: DataSetPart, written: string, count: number | undefined) => Promise<readonly string[]>,
): Promise<Scope> {
  const { recipe, context } = scope;
  const data = { ...recipe.data };
  for (const part of parts) {
    if (!data[part].some(written => isDataSetName(written, context.baseDir))) continue;
    const files: string[] = [];
    // A draw is from all files of a part.
    const count = data[part].length > 1 ? undefined : part === 'train' ? data.max_samples : data.eval_max_samples;
    for (const written of data[part]) {
      const isName = isDataSetName(written, context.baseDir);
      files.push(...(isName ? await filesOf(partOfDataSet(written, recipe.data, part), written, count) : [written]));
    }
    data[part] = files;
  }
  return { ...scope, recipe: { ...recipe, data } };
}

/** The scope with the first samples of every data set of the hub in a part. */
interface FirstScope<Scope> {
  readonly scope: Scope;
  readonly isWhole: boolean;
}

/**
 * The scope with every data set of the hub in a part replaced by files with the first samples that training takes of it, which are read by
 * ranges unless the cache has them.
 * @throws as `withDataFiles` does
 */
export const withFirstSamples = <Scope extends RecipeScope>(
  scope: Scope,
  part: 'train' | 'eval',
  rows: number,
): Promise<FirstScope<Scope>> =>
  replaceByFirst(
    scope,
    part,
    async (of, count, options) => (await firstSamples(of, { recipe: scope.recipe, count, rows }, options)) ?? firstRows(of, rows, options),
  );

/**
 * The scope with every data set of the hub in a part replaced by files with its first rows, with all columns.
 * @throws HubError as `withDataFiles` does
 */
export const withFirstRows = <Scope extends RecipeScope>(scope: Scope, part: 'train' | 'eval', rows: number): Promise<FirstScope<Scope>> =>
  replaceByFirst(scope, part, (of, _, options) => firstRows(of, rows, options));

async function replaceByFirst<Scope extends RecipeScope>(
  scope: Scope,
  part: 'train' | 'eval',
  firstOf: (of: DataSetPart, count: number | undefined, options: DownloadOptions) => Promise<FirstSamples>,
): Promise<FirstScope<Scope>> {
  let isWhole = true;
  const replaced = await replaceNames(scope, [part], async (of, written, count) => {
    const { files, isAll } = await reported(scope, { of, written }, options => firstOf(of, count, options));
    isWhole &&= isAll;
    return files;
  });
  return { scope: replaced, isWhole };
}

async function firstRows(of: DataSetPart, rows: number, options: DownloadOptions): Promise<FirstSamples> {
  const kept = options.offline ? await findBeginning(options.cacheDir, of) : undefined;
  if (kept !== undefined && (await findDataSet(options.cacheDir, of)) === undefined) return { files: [kept], isAll: false };
  const { cached, ranged } = await openDataSet(of, options);
  if (cached) return { files: cached, isAll: true };
  const files: string[] = [];
  let left = rows;
  for (const source of ranged) {
    const found = await writeBeginning(source, left);
    files.push(found.path);
    left -= found.rows;
    if (left <= 0) return { files, isAll: found.isWhole && files.length === ranged.length };
  }
  return { files, isAll: true };
}

interface NamedDataSet {
  readonly of: DataSetPart;
  readonly written: string;
}

/** @param count samples that are drawn of it; undefined for all */
const download = (
  scope: RecipeScope,
  { of, written, count }: NamedDataSet & { readonly count: number | undefined },
): Promise<readonly string[]> =>
  reported(scope, { of, written }, async options => {
    const { paths, summary } = await remoteData(of, { recipe: scope.recipe, count }, options);
    const [first] = paths;
    if (first !== undefined) scope.job.log('info', `${written} (${of.split}): ${summary} of commit ${commitOf(first)}`);
    return paths;
  });

/** Runs `work` with the options of the job. @throws HubError that also names the local path */
async function reported<T>(
  { context, job }: RecipeScope,
  { of, written }: NamedDataSet,
  work: (options: DownloadOptions) => Promise<T>,
): Promise<T> {
  const local = path.resolve(context.baseDir, written);
  job.phase('download-data', `${local} does not exist: looking for the data set ${written} (${of.split}) on the hub`);
  let report: ((done: number, message?: string) => void) | undefined;
  try {
    return await work({
      cacheDir: context.cacheDir,
      ...context.hub,
      signal: job.signal,
      onWarning: message => job.log('warning', message),
      onProgress: ({ bytes, totalBytes, file }) => {
        report ??= job.progress('download-data', totalBytes, 'bytes', bytes);
        report(bytes, file);
      },
    });
  } catch (error) {
    // An AbortError does not contain the reason.
    job.checkStop();
    if (!(error instanceof HubError)) throw error;
    throw new HubError(error.failure, `${error.message} (${local} does not exist either)`, { cause: error });
  }
}
