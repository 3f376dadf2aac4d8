/**
 * Lists a folder of data. A symbolic link counts as its target, because the hub's own cache consists of such links. Folders that training
 * wrote below a folder are not part of its data, for example with `train: .` next to `runs/`.
 */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXPORT_MANIFEST } from '../../protocol/export-manifest-name.ts';
import { RUN_FILES, STATE_FILE, SUBMISSION } from '../../protocol/run/run-files.ts';
import { SWEEP_FILES } from '../../protocol/run/sweep.ts';
import { DataError } from '../data-error.ts';

export interface FolderEntry {
  readonly name: string;
  /** 'other' for a broken link, and for anything that is neither a folder nor a file. */
  readonly kind: 'folder' | 'file' | 'other';
}

/** Maximum depth. No data set is deeper, and a link to a parent folder never ends. The kernel would follow 40 links in a path. */
const MAX_DEPTH = 16;

/** The kinds of folders that training writes, by files that all of them have. */
const OUTPUTS: readonly (readonly [kind: string, ...files: string[]])[] = [
  ['a run', RUN_FILES.recipe, STATE_FILE],
  ['a sweep', SWEEP_FILES.plan],
  ['an export', EXPORT_MANIFEST],
];

/**
 * The entries sorted by name, without folders that training wrote below the given folder.
 * @throws DataError for a given folder that training wrote, and for one so deep that a link must form a cycle
 */
export async function folderEntries(folder: string, depth = 0): Promise<FolderEntry[]> {
  if (depth > MAX_DEPTH)
    throw new DataError({
      file: folder,
      problem: `is nested more than ${MAX_DEPTH} folders deep`,
      advice: 'Take out the symbolic link that leads back up, or name a folder further down',
    });
  const entries = await readdir(folder, { withFileTypes: true });
  const output = outputOf(
    folder,
    entries.map(({ name }) => name),
  );
  if (output !== undefined) {
    if (depth > 0) return [];
    throw new DataError({
      file: folder,
      problem: `is the folder of ${output}, which holds no data`,
      advice: 'Name the file that is meant',
    });
  }
  const found = await Promise.all(entries.map(async entry => ({ name: entry.name, kind: await kindOf(folder, entry) })));
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function outputOf(folder: string, names: readonly string[]): string | undefined {
  if (folder.endsWith(SUBMISSION.suffix) && names.includes(SUBMISSION.record)) return 'a job of Slurm';
  return OUTPUTS.find(([, ...files]) => files.every(file => names.includes(file)))?.[0];
}

async function kindOf(folder: string, entry: Dirent): Promise<FolderEntry['kind']> {
  const found = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
  if (found?.isDirectory()) return 'folder';
  return found?.isFile() ? 'file' : 'other';
}
