/**
 * Walks folders of any size within a budget, level by level, so that entries near the top are found first; reports whether it was cut
 * short.
 */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface WalkBudget {
  /** Limit over all folders. */
  readonly maxEntries: number;
  readonly maxMs: number;
  /** Maximum depth; leaving out deeper folders does not count as cut short. */
  readonly maxDepth: number;
}

export interface WalkedFolder {
  readonly path: string;
  /** 0 for the folder where the walk began. */
  readonly depth: number;
  readonly entries: readonly Dirent[];
  /** Folders in `entries`, including links to folders. Folders that the visitor removes are not entered. */
  readonly folders: Set<string>;
}

export class FolderWalk {
  private readonly budget: WalkBudget;
  private readonly startedMs = performance.now();
  private entriesLeft: number;
  /** Device and inode number of each folder: links may lead to one folder in several ways, or form cycles. */
  private readonly seen = new Set<string>();
  private isTruncated = false;

  constructor(budget: WalkBudget) {
    this.budget = budget;
    this.entriesLeft = budget.maxEntries;
  }

  /** True if something was left out: the budget of entries or time is used up, or the visitor called `cut`. */
  get truncated(): boolean {
    return this.isTruncated;
  }

  /** Marks the walk as cut short, for a visitor that has found as many results as it keeps. */
  cut(): void {
    this.isTruncated = true;
  }

  /** True if time is left; a call without time left marks the walk as cut short. */
  hasTime(): boolean {
    if (performance.now() - this.startedMs < this.budget.maxMs) return true;
    this.isTruncated = true;
    return false;
  }

  /**
   * Yields `root` and the folders below. Missing and unreadable folders are skipped; hidden folders and node_modules are not entered.
   * @param from the depth of `root`
   */
  async *below(root: string, from = 0): AsyncGenerator<WalkedFolder> {
    let level = [root];
    for (let depth = from; level.length > 0 && !this.isTruncated; depth++) {
      const next: string[] = [];
      for (const path of level) {
        if (!this.hasTime()) return;
        if (!(await this.isNew(path))) continue;
        const entries = await this.entriesOf(path);
        const folders = depth < this.budget.maxDepth ? await this.foldersOf(path, entries) : new Set<string>();
        yield { path, depth, entries, folders };
        for (const name of folders) next.push(join(path, name));
        if (this.isTruncated) return;
      }
      level = next;
    }
  }

  private async isNew(path: string): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    if (!found?.isDirectory()) return false;
    const key = `${found.dev}:${found.ino}`;
    const isNew = !this.seen.has(key);
    this.seen.add(key);
    return isNew;
  }

  /** Reads entries one by one, so that a folder with millions of files is not held in memory. */
  private async entriesOf(path: string): Promise<Dirent[]> {
    return entriesWhile(path, () => {
      if (this.entriesLeft === 0) this.isTruncated = true;
      return !this.isTruncated && this.hasTime() && this.entriesLeft-- > 0;
    });
  }

  private async foldersOf(path: string, entries: readonly Dirent[]): Promise<Set<string>> {
    const shown = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
    // Folders first, so that one that is also the target of a link keeps its own name.
    const found = new Set(shown.filter(entry => entry.isDirectory()).map(({ name }) => name));
    for (const entry of shown)
      if (entry.isSymbolicLink() && this.hasTime() && (await isFolder(join(path, entry.name)))) found.add(entry.name);
    return found;
  }
}

/**
 * The first entries of a folder, in no particular order; none if it is missing or unreadable.
 * @param max maximum number of entries: a folder with millions of files is not read to its end
 */
export async function firstEntries(path: string, max: number): Promise<Dirent[]> {
  let left = max;
  return entriesWhile(path, () => left-- > 0);
}

/** The names of {@link firstEntries}. */
export const firstNames = async (path: string, max: number): Promise<string[]> => (await firstEntries(path, max)).map(({ name }) => name);

async function entriesWhile(path: string, isWanted: () => boolean): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  try {
    for await (const entry of await opendir(path)) {
      if (!isWanted()) break;
      entries.push(entry);
    }
  } catch {
    // It is not a folder, or unreadable, or gone.
  }
  return entries;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    found => found.isDirectory(),
    () => false,
  );
