/** Replaces data sets that a recipe names by their name on the hub with files, and takes the names of labels from the data. */
import path from 'node:path';
import { declaredLabels, withDeclaredLabels } from '../data/class-names/declared-labels.ts';
import { writeBeginning } from '../data/read/parquet-beginning.ts';
import type { RemoteFile } from '../data/read/ranged-source.ts';
import { isDataSetName } from '../files/data-set-name.ts';
import { commitOf, type DataSetPart, findBeginning, findDataSet, openDataSet, partOfDataSet } from '../hub/hub-dataset.ts';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { HubError } from '../hub/hub-error.ts';
import { elementAt, required } from '../narrow.ts';
import type { RecipeScope } from './job-scope.ts';
import { type FirstSamples, firstSamples, type RemoteFiles, remoteData } from './remote-data.ts';

/**
 * The scope with every data set on the hub replaced by the paths of its files, and with the labels that the data declares unless the recipe
 * names labels; local paths are unchanged.
 * @param trained the labels that a checkpoint or an adapter was trained with
 * @throws HubError if there is neither a local file nor a data set with that name; DataError if labels contradict each other
 */
export const withDataFiles = <Scope extends RecipeScope>(scope: Scope, trained?: readonly string[]): Promise<Scope> =>
  replaceNames(scope, { parts: ['train', 'eval'], trained }, (sets, count) => download(scope, sets, count));

/** A data set as the recipe names it. */
interface NamedDataSet {
  readonly of: DataSetPart;
  readonly written: string;
}

interface Replacing {
  readonly parts: readonly ('train' | 'eval')[];
  readonly trained?: readonly string[] | undefined;
}

/**
 * @param filesOf returns the files of each data set in a part; `count` samples are drawn from all of them together, or all if it is
 * undefined
 */
async function replaceNames<Scope extends RecipeScope>(
  scope: Scope,
  { parts, trained }: Replacing,
  filesOf: (sets: readonly NamedDataSet[], count: number | undefined) => Promise<readonly RemoteFiles[]>,
): Promise<Scope> {
  const { recipe, context } = scope;
  const data = { ...recipe.data };
  const described: string[] = [];
  const remote: RemoteFile[] = [];
  for (const part of parts) {
    const names = data[part].filter(written => isDataSetName(written, context.baseDir));
    described.push(...data[part].flatMap(written => (names.includes(written) ? [] : [path.resolve(context.baseDir, written)])));
    if (names.length === 0) continue;
    const sets = names.map(written => ({ written, of: partOfDataSet(written, recipe.data, part) }));
    // A draw takes samples from all files of a part.
    const isRemote = names.length === data[part].length;
    const files = [...(await filesOf(sets, isRemote ? recipe.data[part === 'train' ? 'max_samples' : 'eval_max_samples'] : undefined))];
    for (const { paths, footers } of files) {
      if (footers) remote.push(...footers);
      else described.push(...paths);
    }
    data[part] = data[part].flatMap(written =>
      names.includes(written) ? required(files.shift(), 'files of a data set').paths : [written],
    );
  }
  const labeled = withDeclaredLabels({ ...recipe, data }, await declaredLabels(described, recipe, remote), trained);
  if (labeled.info !== undefined) scope.job.log('info', labeled.info);
  for (const warning of labeled.warnings) scope.job.log('warning', warning);
  return { ...scope, recipe: labeled.recipe, ...(labeled.info !== undefined && { declaresLabels: true }) };
}

/** The scope with the first samples of every data set on the hub in a part; `isWhole` if these are all samples. */
interface FirstScope<Scope> {
  readonly scope: Scope;
  readonly isWhole: boolean;
}

/**
 * The scope with every data set on the hub in a part replaced by files with the first samples that training takes from it; these are read
 * by ranges unless they are in the cache.
 * @throws as `withDataFiles` does
 */
export const withFirstSamples = <Scope extends RecipeScope>(
  scope: Scope,
  part: 'train' | 'eval',
  rows: number,
): Promise<FirstScope<Scope>> =>
  replaceByFirst(scope, part, async (parts, count, options) => {
    const found = await firstSamples(parts, { recipe: scope.recipe, count, rows }, options);
    return Promise.all(parts.map((of, i) => found[i] ?? firstRows(of, rows, options)));
  });

/**
 * The scope with every data set on the hub in a part replaced by files with its first rows, with all columns.
 * @throws HubError as `withDataFiles` does
 */
export const withFirstRows = <Scope extends RecipeScope>(scope: Scope, part: 'train' | 'eval', rows: number): Promise<FirstScope<Scope>> =>
  replaceByFirst(scope, part, (parts, _, options) => Promise.all(parts.map(of => firstRows(of, rows, options))));

async function replaceByFirst<Scope extends RecipeScope>(
  scope: Scope,
  part: 'train' | 'eval',
  firstOf: (parts: readonly DataSetPart[], count: number | undefined, options: DownloadOptions) => Promise<readonly FirstSamples[]>,
): Promise<FirstScope<Scope>> {
  let isWhole = true;
  const replaced = await replaceNames(scope, { parts: [part] }, async (sets, count) => {
    const parts = sets.map(({ of }) => of);
    const found = await reported(scope, sets, options => firstOf(parts, count, options));
    isWhole = found.every(({ isAll }) => isAll);
    return found;
  });
  return { scope: replaced, isWhole };
}

async function firstRows(of: DataSetPart, rows: number, options: DownloadOptions): Promise<FirstSamples> {
  const kept = options.offline ? await findBeginning(options.cacheDir, of) : undefined;
  if (kept !== undefined && (await findDataSet(options.cacheDir, of)) === undefined) return { paths: [kept], isAll: false };
  const { cached, ranged } = await openDataSet(of, options);
  if (cached) return { paths: cached, isAll: true };
  const files: string[] = [];
  let left = rows;
  for (const source of ranged) {
    const found = await writeBeginning(source, left);
    files.push(found.path);
    left -= found.rows;
    if (left <= 0) return { paths: files, isAll: found.isWhole && files.length === ranged.length };
  }
  return { paths: files, isAll: true };
}

/** Downloads data sets. @param count number of samples to draw from all of them; undefined for all */
const download = (scope: RecipeScope, sets: readonly NamedDataSet[], count: number | undefined): Promise<readonly RemoteFiles[]> =>
  reported(scope, sets, async options => {
    const parts = sets.map(({ of }) => of);
    const found = await remoteData(parts, { recipe: scope.recipe, count }, options);
    for (const [i, { paths, summary }] of found.entries()) {
      const { written, of } = elementAt(sets, i);
      const [first] = paths;
      scope.job.log('info', `${written} (${of.split}): ${summary}${first === undefined ? '' : ` of commit ${commitOf(first)}`}`);
    }
    return found;
  });

/** Calls `work` with the options of the job. @throws HubError that also names the local paths */
async function reported<T>(
  { context, job }: RecipeScope,
  sets: readonly NamedDataSet[],
  work: (options: DownloadOptions) => Promise<T>,
): Promise<T> {
  const locals = sets.map(({ written }) => path.resolve(context.baseDir, written));
  const names = sets.map(({ written, of }) => `${written} (${of.split})`);
  const [one, exist] = sets.length === 1 ? ['the data set', 'does not exist'] : ['the data sets', 'do not exist'];
  job.phase('download-data', `${locals.join(' and ')} ${exist}: looking for ${one} ${names.join(' and ')} on the hub`);
  let report: ReturnType<RecipeScope['job']['progress']> | undefined;
  let reportedBytes = 0;
  try {
    return await work({
      cacheDir: context.cacheDir,
      ...context.hub,
      signal: job.signal,
      onWarning: message => job.log('warning', message),
      onProgress: ({ bytes, totalBytes, file }) => {
        // If several data sets are fetched whole, each has its own total.
        if (report === undefined || totalBytes !== reportedBytes) report = job.progress('download-data', totalBytes, 'bytes', bytes);
        reportedBytes = totalBytes;
        report(bytes, file);
      },
    });
  } catch (error) {
    // An AbortError does not contain the reason.
    job.checkStop();
    if (!(error instanceof HubError)) throw error;
    throw new HubError(error.failure, `${error.message} (${locals.join(' and ')} ${exist} either)`, { cause: error });
  }
}
