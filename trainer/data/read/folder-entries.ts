/**
 * The entries of a folder of data. A symbolic link counts as its target: the hub's own cache consists of such links. What training wrote
 * below a folder is not part of its data, as of `train: .` next to `runs/`.
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
  /** A link that leads nowhere is 'other', and so is what is neither. */
  readonly kind: 'folder' | 'file' | 'other';
}

/** No data set is deeper, and a link that leads back up has no end. The kernel would follow 40 links in a path. */
const MAX_DEPTH = 16;

/** The kinds of folders that training writes, by files that they all have. */
const OUTPUTS: readonly (readonly [kind: string, ...files: string[]])[] = [
  ['a run', RUN_FILES.recipe, STATE_FILE],
  ['a sweep', SWEEP_FILES.plan],
  ['an export', EXPORT_MANIFEST],
];

/**
 * Sorted by name; none of a folder that training wrote below the one that is named.
 * @throws DataError for such a folder that is named itself, and for one so deep that a link must lead in circles
 */
export async function folderEntries(folder: string, depth = 0): Promise<FolderEntry[]> {
  if (depth > MAX_DEPTH)
    throw new DataError({
      file: folder,
      problem: `lies more than ${MAX_DEPTH} folders deep`,
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
