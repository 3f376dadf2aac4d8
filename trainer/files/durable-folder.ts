/** Writes folders atomically: built next to their final path, flushed, then swapped in; the old folder stays until then. */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { codeOf } from '../protocol/error-facts.ts';
import { syncFolder } from './durable-file.ts';
import { leftoverName, temporaryName } from './temporary-name.ts';

/** Appended to the temporary name for the previous folder while it is swapped out. */
const OLD = '.old';

/**
 * Runs `build` on an empty folder next to `final`, then replaces `final` with it.
 * @throws errors of `build` or of the disk; `final` is then unchanged and nothing is left behind
 */
export async function buildFolderDurably<T>(final: string, build: (folder: string) => Promise<T>): Promise<T> {
  const temporary = temporaryName(join(dirname(final), `.${basename(final)}`));
  await mkdir(temporary);
  try {
    const result = await build(temporary);
    await syncFolder(temporary);
    await swapIn(temporary, final);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

async function swapIn(temporary: string, final: string): Promise<void> {
  const old = `${temporary}${OLD}`;
  const replaces = await renameIfThere(final, old);
  try {
    await rename(temporary, final);
  } catch (error) {
    if (replaces) await rename(old, final);
    throw error;
  }
  await syncFolder(dirname(final));
  // The new folder is in place; leftovers that cannot be removed now are removed by the next `recoverFolders`.
  if (replaces) await rm(old, { recursive: true, force: true }).catch(() => undefined);
}

/** Renames a file or folder. Returns false if there is nothing to rename. */
export async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Cleans up after killed processes: restores a folder that was swapped out without a successor, and removes other leftovers of
 * `buildFolderDurably`.
 * @param isOurs tests the name of a folder under `parent`
 */
export async function recoverFolders(parent: string, isOurs: (name: string) => boolean): Promise<void> {
  const names = await readdir(parent).catch((): string[] => []);
  for (const found of names) {
    const hidden = await leftoverName(parent, found);
    const name = hidden?.slice(1) ?? '';
    if (!hidden?.startsWith('.') || !isOurs(name)) continue;
    const leftover = join(parent, found);
    if (found.endsWith(OLD) && !names.includes(name)) await rename(leftover, join(parent, name));
    else await rm(leftover, { recursive: true, force: true });
  }
}

/** Creates a folder and all above it; their names are durable when it returns. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(folder); made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}
