/**
 * Fetches the part of a data set on the hub that a recipe reads: drawn samples, or columns, by byte ranges if that saves a substantial
 * share.
 */
import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { objectiveCatalog } from '../catalog/objectives.ts';
import { declaredLabels, withDeclaredLabels } from '../data/class-names/declared-labels.ts';
import { type NamedFile, withNames } from '../data/columns-read.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { columnBytes, columnsPath, keyOf, writeColumns } from '../data/read/parquet-columns.ts';
import { appendDrawn, type DrawnGroup, drawGroups, linesOf, rowCount } from '../data/read/parquet-drawn.ts';
import { columnsOf, openRemote, type RemoteFile, wholeSource } from '../data/read/ranged-source.ts';
import { readRecords } from '../data/read/read-records.ts';
import { fileSize } from '../format/model-config.ts';
import { requireSpace, withLock } from '../hub/hub-cache.ts';
import { type DataSetFiles, type DataSetPart, downloadDataSet, openDataSet } from '../hub/hub-dataset.ts';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { HubError } from '../hub/hub-error.ts';
import { elementAt } from '../narrow.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { byteSize, counted, grouped } from '../protocol/text/format.ts';

/** If the draw needs a larger share of the bytes, all rows are fetched: they serve other draws, too. */
const MAX_SHARE_OF_ROWS = 0.5;
/** If columns are a larger share of the bytes, whole files are fetched: they serve other recipes, too. */
const MAX_SHARE_OF_FILE = 0.9;

/** The local files of a data set. */
export interface RemoteFiles {
  readonly paths: readonly string[];
  /** The remote files with their metadata, if the local ones hold only a part of them, without it. */
  readonly footers?: readonly RemoteFile[] | undefined;
}

export interface RemoteData extends RemoteFiles {
  readonly summary: string;
}

interface Wanted {
  readonly recipe: Recipe;
  /** Number of samples to draw; undefined for all. */
  readonly count: number | undefined;
}

/**
 * Fetches the part of data sets that a recipe reads into files of the cache: the columns of the samples that training would draw from all
 * of them, or of all samples. An interrupted fetch is continued.
 * @returns the files of each data set
 * @throws HubError, or DataError for damaged files and those that lack a column
 */
export async function remoteData(parts: readonly DataSetPart[], wanted: Wanted, options: DownloadOptions): Promise<readonly RemoteData[]> {
  const sets = await openSets(parts, options);
  const drawn = sets.some(({ ranged }) => ranged) ? await drawnData(sets, wanted, options) : undefined;
  const data = drawn ?? (await oneByOne(sets, set => wholeData(set, wanted.recipe, options)));
  for (const { remember } of sets) await remember();
  return data;
}

async function oneByOne<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

type OpenedSet = DataSetFiles & { readonly part: DataSetPart };

const openSets = (parts: readonly DataSetPart[], options: DownloadOptions): Promise<OpenedSet[]> =>
  oneByOne(parts, async part => ({ ...(await openDataSet(part, options)), part }));

/** The files of a set with their metadata, whether local or remote. */
const remoteFiles = async ({ cached, ranged }: OpenedSet, recipe: Recipe): Promise<NamedFile[]> =>
  withNames(await openRemote(ranged ?? (await Promise.all(cached.map(wholeSource)))), recipe);

/** All samples of a set: its columns, or whole files if they are in the cache or a server does not support ranges. */
async function wholeData(set: OpenedSet, recipe: Recipe, options: DownloadOptions): Promise<RemoteData> {
  const { part, cached } = set;
  if (cached) return ofFiles(cached);
  try {
    const found = await columnData(await remoteFiles(set, recipe), options);
    if (found) return found;
  } catch (error) {
    if (!sendsNoRanges(error)) throw error;
    options.onWarning?.(`${error.message}: whole files are downloaded`);
  }
  return ofFiles(await downloadDataSet(part, options));
}

const sendsNoRanges = (error: unknown): error is HubError => error instanceof HubError && error.failure === 'no-ranges';

const ofFiles = (paths: readonly string[]): RemoteData => ({ paths, summary: counted(paths.length, 'file') });

/** The columns of a set; undefined if they are nearly all of its bytes. */
async function columnData(files: readonly NamedFile[], options: DownloadOptions): Promise<RemoteData | undefined> {
  const sizes = files.map(({ footer: { metadata }, names }) => columnBytes(metadata.row_groups, names));
  const bytes = sizes.reduce((sum, each) => sum + each, 0);
  const totalBytes = files.reduce((sum, { footer: { metadata } }) => sum + columnBytes(metadata.row_groups), 0);
  if (bytes > MAX_SHARE_OF_FILE * totalBytes) return undefined;
  const first = elementAt(files, 0);
  const summary = `${counted(files.length, 'file')} with ${counted(first.names.size, 'column')} of ${columnsOf(first).length} (${byteSize(bytes)} of ${byteSize(totalBytes)})`;
  const paths = files.map(columnsPath);
  const missing = await missingOf(paths);
  if (missing.size > 0)
    await withLock(path.dirname(first.source.path), async () => {
      await requireSpace(
        path.dirname(first.source.path),
        files.reduce((sum, _, i) => (missing.has(i) ? sum + elementAt(sizes, i) : sum), 0),
      );
      let before = 0;
      for (const [i, file] of files.entries()) {
        const [size, done] = [elementAt(sizes, i), before];
        const name = path.basename(file.source.path);
        await writeColumns(file, fileBytes =>
          options.onProgress?.({ file: name, fileBytes, fileSize: size, bytes: done + fileBytes, totalBytes: bytes }),
        );
        before += size;
      }
    });
  return { paths, summary, footers: files };
}

/** Indices of the paths that do not exist. */
async function missingOf(paths: readonly string[]): Promise<ReadonlySet<number>> {
  const missing = new Set<number>();
  for (const [i, each] of paths.entries()) if ((await fileSize(each)) === undefined) missing.add(i);
  return missing;
}

/** The drawn samples; undefined if all rows are to be read, or a server does not support ranges. */
async function drawnData(
  sets: readonly OpenedSet[],
  { recipe, count }: Wanted,
  options: DownloadOptions,
): Promise<readonly RemoteData[] | undefined> {
  if (count === undefined) return undefined;
  try {
    const files = await oneByOne(sets, set => remoteFiles(set, recipe));
    const draws = drawsOf(files, { recipe, count });
    if (draws === undefined) return undefined;
    const named = withDeclaredLabels(recipe, await declaredLabels([], recipe, files.flat())).recipe;
    const missing = await missingOf(draws.map(({ file }) => file));
    if (missing.size > 0 && (takesMost(draws, files.flat()) || files.some(([first]) => first && readsAllLabels(named, columnsOf(first)))))
      return undefined;
    await fetchDraws(
      draws.filter((_, i) => missing.has(i)),
      options,
    );
    return draws.map(({ file, drawn, rows }, i) => ({
      paths: drawn === 0 ? [] : [file],
      footers: elementAt(files, i),
      summary: `${counted(drawn, 'sample')}, drawn by the seed ${recipe.seed} of ${grouped(rows)}`,
    }));
  } catch (error) {
    if (!sendsNoRanges(error)) throw error;
    return undefined;
  }
}

/** The part of a draw that belongs to one data set. */
interface Draw {
  /** The path of the file with its drawn samples. */
  readonly file: string;
  /** The prefix of its name; files with other columns of the same samples have the same prefix. */
  readonly stem: string;
  readonly names: readonly string[];
  readonly groups: readonly DrawnGroup[];
  /** Number of samples that are drawn from its rows. */
  readonly drawn: number;
  readonly rows: number;
  /** Size in bytes of the columns in row groups with a drawn row. */
  readonly bytes: number;
}

/** Draws from the rows of all sets together; one part for each set. @param sets the files of each set */
function drawsOf(sets: readonly (readonly NamedFile[])[], { recipe: { task, seed }, count }: Wanted): readonly Draw[] | undefined {
  if (count === undefined || objectiveCatalog[task].reads === 'images') return undefined;
  const namesOf = ([first, ...others]: readonly NamedFile[]): readonly string[] | undefined => {
    const names = first && [...first.names];
    return others.some(file => [...file.names].join() !== names?.join()) ? undefined : names;
  };
  const drawn = drawGroups(sets.flat(), { count, seed });
  if (drawn === undefined) return undefined;
  let before = 0;
  const draws: Draw[] = [];
  for (const files of sets) {
    const names = namesOf(files);
    if (names === undefined) return undefined;
    const rows = rowCount(files);
    // A draw from several sets depends on the numbers of rows in the others.
    const stem = `drawn-${count}-${seed}-${sets.length === 1 ? '' : `${before}-${drawn.rows}-`}`;
    const groups = drawn.groups.filter(({ file }) => files.some(own => own === file));
    draws.push({
      file: path.join(path.dirname(elementAt(files, 0).source.path), `${stem}${keyOf(names)}.jsonl`),
      stem,
      names,
      groups,
      drawn: groups.reduce((sum, group) => sum + group.drawn.length, 0),
      rows,
      bytes: columnBytes(
        groups.map(({ group }) => group),
        new Set(names),
      ),
    });
    before += rows;
  }
  return draws;
}

/** True if the row groups with drawn rows are so large that all rows should be fetched. */
function takesMost(draws: readonly Draw[], files: readonly NamedFile[]): boolean {
  const all = files.reduce((sum, { footer, names }) => sum + columnBytes(footer.metadata.row_groups, names), 0);
  return draws.reduce((sum, { bytes }) => sum + bytes, 0) > MAX_SHARE_OF_ROWS * all;
}

/** Fetches the drawn samples. */
async function fetchDraws(wanted: readonly Draw[], options: DownloadOptions): Promise<void> {
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const draw of wanted) {
    const done = before;
    await fetchDraw(draw, {
      ...options,
      onProgress: progress => options.onProgress?.({ ...progress, bytes: done + progress.bytes, totalBytes }),
    });
    before += draw.bytes;
  }
}

/** The file to which later calls add samples until it is complete. */
const partialOf = (file: string): string => file.replace(/\.jsonl$/, '.partial.jsonl');

/** @param rows number of samples after which it may stop @returns the path of the samples */
async function fetchDraw(
  { file, stem, names, groups, drawn, bytes: totalBytes }: Draw,
  options: DownloadOptions,
  rows?: number,
): Promise<string> {
  const folder = path.dirname(file);
  const partial = partialOf(file);
  return withLock(folder, async () => {
    // Compressed text takes several times its size when unpacked.
    await requireSpace(folder, rows === undefined ? 4 * totalBytes : 0);
    const written = await appendDrawn(partial, groups, {
      names,
      rows,
      known: await otherDraw(folder, stem, names),
      onBytes: bytes => options.onProgress?.({ file: path.basename(file), fileBytes: bytes, fileSize: totalBytes, bytes, totalBytes }),
    });
    if (written < drawn) return partial;
    await rename(partial, file);
    return file;
  });
}

/** The file of the same draw with some of these columns. */
async function otherDraw(folder: string, stem: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(stem) || !/^[0-9a-f]+\.jsonl$/.test(name.slice(stem.length))) continue;
    const other = path.join(folder, name);
    for await (const { value } of readRecords({ files: await listDataFiles([other]), textSplit: 'file', maxSamples: 1 }))
      if (names.some(each => Object.hasOwn(value, each))) return other;
  }
  return undefined;
}

/** Files with the first samples of a data set; `isAll` if these are all samples. */
export interface FirstSamples extends RemoteFiles {
  readonly isAll: boolean;
}

/**
 * The first samples that training takes from data sets: those of a draw, whatever else training would fetch for it, or of files that
 * training has fetched.
 * @returns the samples of each set; undefined if nothing is drawn or cached, so that the first rows are the first samples
 * @throws as `remoteData`
 */
export async function firstSamples(
  parts: readonly DataSetPart[],
  { rows, recipe, count }: Wanted & { readonly rows: number },
  options: DownloadOptions,
): Promise<readonly (FirstSamples | undefined)[]> {
  const sets = await openSets(parts, options);
  if (!sets.some(({ ranged }) => ranged)) return sets.map(() => undefined);
  const files = await oneByOne(sets, set => remoteFiles(set, recipe));
  const draws = drawsOf(files, { recipe, count });
  let left = rows;
  if (draws !== undefined)
    return oneByOne([...draws.entries()], async ([i, draw]) => {
      const wanted = Math.min(left, draw.drawn);
      left -= wanted;
      return { ...(await firstDrawn(draw, wanted, options)), footers: elementAt(files, i) };
    });
  return Promise.all(
    sets.map(async ({ cached }, i) => {
      const footers = elementAt(files, i);
      const paths = footers.map(columnsPath);
      return cached === undefined && (await missingOf(paths)).size === 0 ? { paths, footers, isAll: true } : undefined;
    }),
  );
}

async function firstDrawn(draw: Draw, rows: number, options: DownloadOptions): Promise<FirstSamples> {
  const { file, drawn } = draw;
  if (rows === 0) return { paths: [], isAll: drawn === 0 };
  if ((await fileSize(file)) !== undefined) return { paths: [file], isAll: true };
  const partial = partialOf(file);
  if ((await fileSize(partial)) !== undefined && (await linesOf(partial)) >= rows) return { paths: [partial], isAll: false };
  const found = await fetchDraw(draw, { ...options, onProgress: undefined }, rows);
  return { paths: [found], isAll: found === file };
}

/** True if drawn samples depend on the labels of all samples. */
function readsAllLabels({ task, data }: Recipe, columns: readonly string[]): boolean {
  if (data.labels.length > 0) return false;
  const { target, model } = objectiveCatalog[task];
  if (model === 'classifier') return ['label', 'labels', 'tags'].includes(target);
  return data.format === 'auto' ? columns.includes(data.columns.label ?? 'label') : data.format === 'text_label';
}
