/** Walks folders of any size within a budget: level by level, so that what lies near the top is found first, and it says when it was cut short. */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface WalkBudget {
  /** Limit over all folders. */
  readonly maxEntries: number;
  readonly maxMs: number;
  /** Deeper folders are not entered; this alone does not count as cut short. */
  readonly maxDepth: number;
}

export interface WalkedFolder {
  readonly path: string;
  /** 0 for the folder where the walk began. */
  readonly depth: number;
  readonly entries: readonly Dirent[];
  /** Folders of `entries`, links to folders included. What the visitor takes out is not entered. */
  readonly folders: Set<string>;
}

export class FolderWalk {
  private readonly budget: WalkBudget;
  private readonly startedMs = performance.now();
  private entriesLeft: number;
  /** Device and number of each folder: links may lead to one folder by several ways, or in circles. */
  private readonly seen = new Set<string>();
  private isCut = false;

  constructor(budget: WalkBudget) {
    this.budget = budget;
    this.entriesLeft = budget.maxEntries;
  }

  /** Something was left out: the budget of entries or time is used up, or the visitor said so. */
  get truncated(): boolean {
    return this.isCut;
  }

  /** For a visitor that has found as much as it keeps. */
  cut(): void {
    this.isCut = true;
  }

  /** Whether time is left; asking when none is counts as being cut short. */
  hasTime(): boolean {
    if (performance.now() - this.startedMs < this.budget.maxMs) return true;
    this.isCut = true;
    return false;
  }

  /** `root` and the folders below. Folders that are missing or may not be read are passed over; hidden ones and node_modules are not entered. */
  async *below(root: string): AsyncGenerator<WalkedFolder> {
    let level = [root];
    for (let depth = 0; level.length > 0 && !this.isCut; depth++) {
      const next: string[] = [];
      for (const path of level) {
        if (!this.hasTime()) return;
        if (!(await this.isNew(path))) continue;
        const entries = await this.entriesOf(path);
        const folders = depth < this.budget.maxDepth ? await this.foldersOf(path, entries) : new Set<string>();
        yield { path, depth, entries, folders };
        for (const name of folders) next.push(join(path, name));
        if (this.isCut) return;
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

  /** Read one by one, so that a folder of millions of files is not held. */
  private async entriesOf(path: string): Promise<Dirent[]> {
    return entriesWhile(path, () => {
      if (this.entriesLeft === 0) this.isCut = true;
      return !this.isCut && this.hasTime() && this.entriesLeft-- > 0;
    });
  }

  private async foldersOf(path: string, entries: readonly Dirent[]): Promise<Set<string>> {
    const shown = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
    // Folders first, so that one that a link leads to as well goes by its own name.
    const found = new Set(shown.filter(entry => entry.isDirectory()).map(({ name }) => name));
    for (const entry of shown)
      if (entry.isSymbolicLink() && this.hasTime() && (await isFolder(join(path, entry.name)))) found.add(entry.name);
    return found;
  }
}

/**
 * The first entries of a folder, in no order; none where it is missing or may not be read.
 * @param max a folder of millions of files is not read to its end
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
    // It is no folder, or may not be read, or is gone.
  }
  return entries;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    found => found.isDirectory(),
    () => false,
  );
