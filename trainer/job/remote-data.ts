/** The part of a data set on the hub that a recipe reads: drawn samples, or columns, by byte ranges where that saves some. */
import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { objectiveCatalog } from '../catalog/objectives.ts';
import { type NamedFile, withNames } from '../data/columns-read.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { columnBytes, columnsPath, keyOf, writeColumns } from '../data/read/parquet-columns.ts';
import { appendDrawn, type DrawnGroups, drawGroups, linesOf } from '../data/read/parquet-drawn.ts';
import { columnsOf, openRemote } from '../data/read/ranged-source.ts';
import { readRecords } from '../data/read/read-records.ts';
import { fileSize } from '../format/model-config.ts';
import { requireSpace, withLock } from '../hub/hub-cache.ts';
import { type DataSetPart, downloadDataSet, openDataSet } from '../hub/hub-dataset.ts';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { HubError } from '../hub/hub-error.ts';
import { elementAt } from '../narrow.ts';
import { byteSize, counted, grouped } from '../protocol/format.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';

/** If the draw needs a larger share of the bytes, all rows are fetched: they serve other draws, too. */
const MOST_OF_ROWS = 0.5;
/** If columns are a larger share of the bytes, whole files are fetched: they serve other recipes, too. */
const MOST_OF_FILE = 0.9;

export interface RemoteData {
  readonly paths: readonly string[];
  readonly summary: string;
}

interface Wanted {
  readonly recipe: Recipe;
  /** Samples that are drawn; undefined for all. */
  readonly count: number | undefined;
}

/**
 * Files of the cache with what a recipe reads: its columns of the samples that training would draw from the whole data, or of all. An
 * interrupted fetch continues where it ended.
 * @throws HubError, or DataError for damaged files and those that lack a column
 */
export async function remoteData(of: DataSetPart, wanted: Wanted, options: DownloadOptions): Promise<RemoteData> {
  const { cached, ranged, remember } = await openDataSet(of, options);
  if (cached) {
    await remember();
    return ofFiles(cached);
  }
  try {
    const files = withNames(await openRemote(ranged), wanted.recipe);
    const found = (await drawnData(files, wanted, options)) ?? (await columnData(files, options));
    if (found) {
      await remember();
      return found;
    }
  } catch (error) {
    if (!(error instanceof HubError) || error.failure !== 'no-ranges') throw error;
    options.onWarning?.(`${error.message}: whole files are downloaded`);
  }
  return ofFiles(await downloadDataSet(of, options));
}

const ofFiles = (paths: readonly string[]): RemoteData => ({ paths, summary: counted(paths.length, 'file') });

/** Undefined where the columns are nearly everything. */
async function columnData(files: readonly NamedFile[], options: DownloadOptions): Promise<RemoteData | undefined> {
  const sizes = files.map(({ footer: { metadata }, names }) => columnBytes(metadata.row_groups, names));
  const bytes = sizes.reduce((sum, each) => sum + each, 0);
  const totalBytes = files.reduce((sum, { footer: { metadata } }) => sum + columnBytes(metadata.row_groups), 0);
  if (bytes > MOST_OF_FILE * totalBytes) return undefined;
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
  return { paths, summary };
}

/** The places of files that are not there. */
async function missingOf(paths: readonly string[]): Promise<ReadonlySet<number>> {
  const missing = new Set<number>();
  for (const [i, each] of paths.entries()) if ((await fileSize(each)) === undefined) missing.add(i);
  return missing;
}

/** Undefined where all rows are to be read. */
async function drawnData(
  files: readonly NamedFile[],
  { recipe, count }: Wanted,
  options: DownloadOptions,
): Promise<RemoteData | undefined> {
  const draw = drawOf(files, { recipe, count });
  if (draw === undefined) return undefined;
  const all = files.reduce((sum, { footer, names }) => sum + columnBytes(footer.metadata.row_groups, names), 0);
  const isKept = (await fileSize(draw.file)) !== undefined;
  if (!isKept && (draw.bytes > MOST_OF_ROWS * all || readsAllLabels(recipe, columnsOf(elementAt(files, 0))))) return undefined;
  if (!isKept) await fetchDraw(draw, options);
  return { paths: [draw.file], summary: `${counted(draw.count, 'sample')}, drawn by the seed ${recipe.seed} of ${grouped(draw.rows)}` };
}

interface Draw extends DrawnGroups {
  readonly count: number;
  /** The path of the file with the drawn samples. */
  readonly file: string;
  readonly names: readonly string[];
  /** Bytes of the columns in row groups that have a drawn row. */
  readonly bytes: number;
}

function drawOf(files: readonly NamedFile[], { recipe: { task, seed }, count }: Wanted): Draw | undefined {
  if (count === undefined || objectiveCatalog[task].reads === 'images') return undefined;
  const first = elementAt(files, 0);
  const names = [...first.names];
  if (files.some(file => [...file.names].join() !== names.join())) return undefined;
  const drawn = drawGroups(files, { count, seed });
  if (drawn === undefined) return undefined;
  const bytes = columnBytes(
    drawn.groups.map(({ group }) => group),
    first.names,
  );
  const file = path.join(path.dirname(first.source.path), `${drawName(count, seed)}${keyOf(names)}.jsonl`);
  return { ...drawn, count, names, bytes, file };
}

const drawName = (count: number, seed: number): string => `drawn-${count}-${seed}-`;

/** In a file of its own, samples are added to it by later calls. */
const partialOf = (file: string): string => file.replace(/\.jsonl$/, '.partial.jsonl');

/** @param rows samples after which it may stop. @returns the path of the samples */
async function fetchDraw({ file, names, groups, bytes: totalBytes }: Draw, options: DownloadOptions, rows?: number): Promise<string> {
  const folder = path.dirname(file);
  const partial = partialOf(file);
  const whole = groups.reduce((sum, { drawn }) => sum + drawn.length, 0);
  return withLock(folder, async () => {
    // Text that was packed takes several times its bytes.
    await requireSpace(folder, rows === undefined ? 4 * totalBytes : 0);
    const written = await appendDrawn(partial, groups, {
      names,
      rows,
      known: await otherDraw(file, names),
      onBytes: bytes => options.onProgress?.({ file: path.basename(file), fileBytes: bytes, fileSize: totalBytes, bytes, totalBytes }),
    });
    if (written < whole) return partial;
    await rename(partial, file);
    return file;
  });
}

/** The file of the same draw with some of these columns. */
async function otherDraw(file: string, names: readonly string[]): Promise<string | undefined> {
  const folder = path.dirname(file);
  const [begin = ''] = /^drawn-\d+-\d+-/.exec(path.basename(file)) ?? [];
  for (const name of await readdir(folder)) {
    if (!/^[0-9a-f]+\.jsonl$/.test(name.slice(begin.length)) || !name.startsWith(begin)) continue;
    const other = path.join(folder, name);
    for await (const { value } of readRecords({ files: await listDataFiles([other]), textSplit: 'file', maxSamples: 1 }))
      if (names.some(each => Object.hasOwn(value, each))) return other;
  }
  return undefined;
}

/** Files with the first samples of a data set, and whether these are all. */
export interface FirstSamples {
  readonly files: readonly string[];
  readonly isAll: boolean;
}

/**
 * The first samples that training takes: those of a draw, whatever else training would fetch for it, or files that training has fetched.
 * @returns undefined where nothing is drawn or in the cache, so that the first rows are the first samples
 * @throws as `remoteData`
 */
export async function firstSamples(
  of: DataSetPart,
  { rows, ...wanted }: Wanted & { readonly rows: number },
  options: DownloadOptions,
): Promise<FirstSamples | undefined> {
  const { ranged } = await openDataSet(of, options);
  if (ranged === undefined) return undefined;
  const files = withNames(await openRemote(ranged), wanted.recipe);
  const draw = drawOf(files, wanted);
  if (draw === undefined) {
    const paths = files.map(columnsPath);
    return (await missingOf(paths)).size === 0 ? { files: paths, isAll: true } : undefined;
  }
  if ((await fileSize(draw.file)) !== undefined) return { files: [draw.file], isAll: true };
  const partial = partialOf(draw.file);
  if ((await fileSize(partial)) !== undefined && (await linesOf(partial)) >= rows) return { files: [partial], isAll: false };
  const found = await fetchDraw(draw, { ...options, onProgress: undefined }, rows);
  return { files: [found], isAll: found === draw.file };
}

/** Whether drawn samples depend on the labels of all samples. */
function readsAllLabels({ task, data }: Recipe, columns: readonly string[]): boolean {
  if (data.labels.length > 0) return false;
  const { target, model } = objectiveCatalog[task];
  if (model === 'classifier') return ['label', 'labels', 'tags'].includes(target);
  return data.format === 'auto' ? columns.includes(data.columns.label ?? 'label') : data.format === 'text_label';
}
