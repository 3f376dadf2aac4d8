/** Turns the paths of a recipe (files and folders) into the list of data files, in a fixed order. */
import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type DataExtension, dataExtensions } from '../../protocol/data-extensions.ts';
import { DataError } from '../data-error.ts';
import { folderEntries } from './folder-entries.ts';

/** A folder with more files is hardly one data set; listing it further would only fill memory. */
const MAX_FILES = 100_000;

export interface DataFile {
  readonly file: string;
  readonly extension: DataExtension;
  readonly bytes: number;
}

/**
 * Files in the order given; a folder gives its data files and those of its folders, sorted by path, hidden ones left out.
 * Throws DataError for a path that is missing, empty or of an unknown kind, and for a folder of several parts of a data set.
 */
export async function listDataFiles(paths: readonly string[]): Promise<DataFile[]> {
  if (paths.length === 0) throw new DataError({ problem: 'no data file is named', advice: 'Name one under data: train' });
  const files: DataFile[] = [];
  for (const path of paths) {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) throw new DataError({ file: path, problem: 'no such file or folder', advice: 'Check the path' });
    const before = files.length;
    if (status.isDirectory()) await addFolder(path, files);
    else if (!addFile(path, status.size, files)) throw unknownKind(path);
    if (files.length === before) {
      throw new DataError({
        file: path,
        problem: 'the folder holds no data file',
        advice: `Data files end in ${dataExtensions.join(', ')}`,
      });
    }
  }
  return files;
}

async function addFolder(folder: string, files: DataFile[], depth = 0): Promise<void> {
  const entries = await folderEntries(folder, depth);
  checkOnePart(
    folder,
    entries.filter(({ name, kind }) => kind === 'folder' || extensionOf(name) !== undefined).map(({ name }) => name),
  );
  for (const { name, kind } of entries) {
    if (name.startsWith('.')) continue;
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
const HELD_BACK = /^(validation|valid|val|dev|eval|test)([-_.]|$)/i;

/**
 * A folder that holds both the training part of a data set and one that is held back would train on what it is to be judged by.
 * @param names of its files and folders of data
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

function unknownKind(file: string): DataError {
  return new DataError({
    file,
    problem: `a file that ends in "${extname(file)}", expected one of ${dataExtensions.join(', ')}`,
    advice: 'Rename or convert it',
  });
}
