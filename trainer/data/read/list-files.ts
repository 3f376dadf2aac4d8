/** Expands the paths of a recipe (files and folders) into a list of data files, in a fixed order. */
import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type DataExtension, dataExtensions } from '../../protocol/data-extensions.ts';
import { DataError } from '../data-error.ts';
import { explainMissing } from '../missing-path.ts';
import { type FolderEntry, folderEntries } from './folder-entries.ts';

/** Maximum number of files: a folder with more is unlikely to be one data set, and listing it would fill the memory. */
const MAX_FILES = 100_000;

export interface DataFile {
  readonly file: string;
  readonly extension: DataExtension;
  readonly bytes: number;
}

/**
 * Lists files in the given order. A folder gives the data files in it and in its folders, sorted by path, without hidden ones.
 * @throws DataError for a path that is missing, empty or of an unknown kind, and for a folder with several splits of a data set
 */
export async function listDataFiles(paths: readonly string[]): Promise<DataFile[]> {
  if (paths.length === 0) throw new DataError({ problem: 'no data file is named', advice: 'Name one under data: train' });
  const files: DataFile[] = [];
  for (const path of paths) {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) throw new DataError({ file: path, ...explainMissing(path) });
    const before = files.length;
    if (status.isDirectory()) await addFolder(path, files);
    else if (!addFile(path, status.size, files)) throw unknownKind(path);
    if (files.length === before) throw noDataFile(path);
  }
  return files;
}

/** A file whose samples stand for those of a folder. */
export interface FirstFile {
  readonly path: string;
  /** Whether the folder has no other data file, as far as was looked. */
  readonly isOnly: boolean;
}

/**
 * Returns the first data file directly in a folder, or in a chain of folders that hold nothing else; undefined if it is not found there. It
 * reads little, because an incomplete path may be the root of the disk.
 * @throws DataError as {@link listDataFiles} does
 */
export async function firstDataFile(folder: string, depth = 0): Promise<FirstFile | undefined> {
  const entries = await dataEntries(folder, depth);
  const [first, ...others] = entries.filter(({ name, kind }) => kind === 'file' && extensionOf(name) !== undefined);
  const folders = entries.filter(({ kind }) => kind === 'folder');
  if (first) return { path: join(folder, first.name), isOnly: others.length === 0 && folders.length === 0 };
  if (folders.length === 0) throw noDataFile(folder);
  const [only] = folders;
  return only && folders.length === 1 ? firstDataFile(join(folder, only.name), depth + 1) : undefined;
}

/** The entries of a folder that may be data. @throws DataError for a folder with several splits of a data set */
async function dataEntries(folder: string, depth: number): Promise<FolderEntry[]> {
  const entries = await folderEntries(folder, depth);
  checkOnePart(
    folder,
    entries.filter(({ name, kind }) => kind === 'folder' || extensionOf(name) !== undefined).map(({ name }) => name),
  );
  const beside = namesBesideData(entries.map(({ name }) => name));
  return entries.filter(({ name }) => !name.startsWith('.') && !beside.has(name));
}

async function addFolder(folder: string, files: DataFile[], depth = 0): Promise<void> {
  for (const { name, kind } of await dataEntries(folder, depth)) {
    const path = join(folder, name);
    if (kind === 'folder') await addFolder(path, files, depth + 1);
    else if (kind === 'file') addFile(path, (await stat(path)).size, files);
    else if (extensionOf(name) !== undefined)
      throw new DataError({ file: path, problem: 'leads to no file', advice: 'Fix or remove the symbolic link' });
    if (files.length > MAX_FILES) {
      throw new DataError({
        file: folder,
        problem: `more than ${MAX_FILES} files`,
        advice: 'Join them into one JSON Lines or Parquet file',
      });
    }
  }
}

const TRAINING = /^(train|training|data_batch)([-_.]|$)/i;
const HELD_BACK = /^(h[eo]ld[-_]?out|validation|valid|val|dev|eval|test)([-_.]|$)/i;

/**
 * Checks that a folder does not hold both the training split and a held-out split: training on both would invalidate the evaluation.
 * @param names names of its data files and folders
 * @throws DataError that names one of each
 */
export function checkOnePart(folder: string, names: readonly string[]): void {
  const [training, heldBack] = [TRAINING, HELD_BACK].map(pattern => names.find(name => pattern.test(name)));
  if (training === undefined || heldBack === undefined) return;
  throw new DataError({
    file: folder,
    problem: `holds ${training} and ${heldBack}, parts of a data set that do not belong together`,
    advice: `Name what is wanted: ${join(folder, training)} under data: train, ${join(folder, heldBack)} under data: eval (a list where a part is several files)`,
  });
}

/** Names of files that `save_to_disk` of Hugging Face's datasets writes next to its Arrow files. */
const ABOUT_DATA = new Set(['dataset_info.json', 'state.json', 'dataset_dict.json']);
/** True for results of `map` on a data set. */
const isCache = (name: string): boolean => /^cache-.*\.arrow$/.test(name);

/** The name of a file that older data sets of the hub have next to their data. */
const ABOUT_DATA_SETS = 'dataset_infos.json';

/** Returns the names that are not data in a folder that `save_to_disk` wrote, or that was downloaded from the hub. */
export function namesBesideData(names: readonly string[]): ReadonlySet<string> {
  const isSaved = names.includes('dataset_dict.json') || names.some(name => extname(name) === '.arrow');
  return new Set(names.filter(name => name === ABOUT_DATA_SETS || (isSaved && (ABOUT_DATA.has(name) || isCache(name)))));
}

function extensionOf(name: string): DataExtension | undefined {
  const suffix = extname(name).toLowerCase();
  return dataExtensions.find(known => known === suffix);
}

function addFile(file: string, bytes: number, files: DataFile[]): boolean {
  const extension = extensionOf(file);
  if (extension === undefined) return false;
  files.push({ file, extension, bytes });
  return true;
}

function noDataFile(folder: string): DataError {
  return new DataError({
    file: folder,
    problem: 'the folder holds no data file',
    advice: `Data files end in ${dataExtensions.join(', ')}`,
  });
}

/** How to turn frequent kinds of files into data. */
const ADVICE_BY_KIND: Readonly<Record<string, string>> = {
  '.gz': 'Unpack it with gunzip',
  '.zst': 'Unpack it with unzstd',
  '.zip': 'Unpack it',
  '.xls': 'Save the table as CSV (UTF-8)',
  '.xlsx': 'Save the table as CSV (UTF-8)',
  '.ods': 'Save the table as CSV (UTF-8)',
  '.md': 'Rename it so that it ends in .txt',
};

function unknownKind(file: string): DataError {
  return new DataError({
    file,
    problem: `${extname(file) === '' ? 'a file without an ending' : `a file that ends in "${extname(file)}"`}, expected one of ${dataExtensions.join(', ')}`,
    advice: ADVICE_BY_KIND[extname(file).toLowerCase()] ?? 'Rename or convert it',
  });
}
