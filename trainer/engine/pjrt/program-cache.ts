/**
 * An on-disk cache of compiled programs and facts about them, so that a second start compiles nothing. An entry that does not match its
 * checksum counts as missing.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, utimesSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Everything that a compiled program depends on. */
export interface ProgramKey {
  /** The plugin, its version and its checksum. */
  readonly plugin: string;
  /** The device; for a CPU, including its instruction sets. */
  readonly device: string;
  readonly options: Uint8Array;
  readonly text: string;
}

/** Changes when the format of entries changes. */
const FORMAT = 'rowtune-pjrt-1';
const DIGEST_BYTES = 32;
/** Size limit, about a hundred training steps; beyond it, the least recently used entries are removed. */
const MAX_BYTES = 2 ** 30;

export interface ProgramCache {
  find(key: ProgramKey): Uint8Array | undefined;
  /** Stores an entry. Never throws: a program that cannot be stored is compiled again next time. */
  keep(key: ProgramKey, bytes: Uint8Array): Promise<void>;
  /** Removes an entry that the plugin rejects. */
  drop(key: ProgramKey): Promise<void>;
  /** Returns the folder of the lock that the process which compiles a program holds. */
  lockOf(key: ProgramKey): string;
}

const folderOf = (cacheDir: string): string => path.join(cacheDir, 'programs');

/** Returns the time at which an entry was last added or removed; 0 without a cache. */
export const programsChangedAt = (cacheDir: string): number => statSync(folderOf(cacheDir), { throwIfNoEntry: false })?.mtimeMs ?? 0;

export function openProgramCache(cacheDir: string, maxBytes = MAX_BYTES): ProgramCache {
  const folder = folderOf(cacheDir);
  const fileOf = (key: ProgramKey): string => path.join(folder, `${nameOf(key)}.program`);
  return {
    find: key => {
      const file = fileOf(key);
      try {
        const content = readFileSync(file);
        const bytes = content.subarray(DIGEST_BYTES);
        if (!digest(bytes).equals(content.subarray(0, DIGEST_BYTES))) return undefined;
        // The time of its last use determines what is removed first.
        utimesSync(file, new Date(), new Date());
        return bytes;
      } catch {
        return undefined;
      }
    },
    keep: async (key, bytes) => {
      const file = fileOf(key);
      const unfinished = `${file}.${process.pid}`;
      try {
        await mkdir(folder, { recursive: true });
        await writeFile(unfinished, Buffer.concat([digest(bytes), bytes]));
        await rename(unfinished, file);
        await pruneFiles(folder, maxBytes);
      } catch {
        await rm(unfinished, { force: true }).catch(() => undefined);
      }
    },
    drop: key => rm(fileOf(key), { force: true }),
    // Not in the folder of programs, whose time says when an entry was added or removed.
    lockOf: key => path.join(cacheDir, 'compiling', nameOf(key)),
  };
}

/** Returns functions for short marks stored along with the programs of a device. */
export const marksIn = (cache: ProgramCache, key: Omit<ProgramKey, 'text'>) => {
  const keyOf = (mark: string): ProgramKey => ({ ...key, text: `mark ${mark}` });
  const mayHave = (mark: string): boolean => cache.find(keyOf(mark)) !== undefined;
  const note = async (mark: string): Promise<void> => {
    if (!mayHave(mark)) await cache.keep(keyOf(mark), Buffer.from(mark));
  };
  return { mayHave, note };
};

const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

function nameOf({ plugin, device, options, text }: ProgramKey): string {
  const hash = createHash('sha256');
  for (const part of [FORMAT, plugin, device, Buffer.from(options).toString('hex'), text]) hash.update(`${part.length} `).update(part);
  return hash.digest('hex').slice(0, 32);
}

/** Removes the least recently used files of a folder until the rest fit. @returns the bytes of the remaining files */
export async function pruneFiles(folder: string, maxBytes: number): Promise<number> {
  const names = (await readdir(folder, { withFileTypes: true })).filter(entry => entry.isFile()).map(({ name }) => name);
  const files = await Promise.all(names.map(async name => ({ path: path.join(folder, name), ...(await facts(path.join(folder, name))) })));
  return removeLongestUnused(files, maxBytes);
}

export interface Used {
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly usedAt: number;
}

/** Removes files and folders, least recently used first, until the rest fit. @returns the bytes of the remaining entries */
export async function removeLongestUnused(entries: readonly Used[], maxBytes: number): Promise<number> {
  let total = 0;
  let isFull = false;
  for (const { path: entry, bytes } of entries.toSorted((a, b) => b.usedAt - a.usedAt)) {
    isFull ||= total + bytes > maxBytes;
    if (isFull) await rm(entry, { recursive: true, force: true });
    else total += bytes;
  }
  return total;
}

const facts = (file: string): Promise<{ bytes: number; usedAt: number }> =>
  stat(file).then(
    ({ size, mtimeMs }) => ({ bytes: size, usedAt: mtimeMs }),
    () => ({ bytes: 0, usedAt: 0 }),
  );
