/** The folder of an export: built beside its place, and put there when it is complete and found good. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { freeDiskBytes } from '../engine/machine.ts';
import { syncFolder } from '../hub/durable-file.ts';
import { recoverFolders } from '../hub/durable-folder.ts';
import { ExportError } from './export-error.ts';

/** Left free for everything else on the disk. */
const SPARE_BYTES = 128 * 2 ** 20;

export interface OutputFolderParams {
  readonly outputDir: string;
  readonly overwrite: boolean;
  /** What will be written. */
  readonly bytes: number;
  /** Folders that are read from: they must not be replaced. */
  readonly inputs: readonly string[];
}

/**
 * Runs `build` on an empty temporary folder and renames it to `outputDir`; when it throws, nothing is left behind and `outputDir` is as it was.
 * @throws ExportError where the folder is not empty, holds what is read from, or the disk has no room
 */
export async function buildFolder<T>(params: OutputFolderParams, build: (dir: string) => Promise<T>): Promise<T> {
  const outputDir = resolve(params.outputDir);
  const replaces = await checkOutput(outputDir, params);
  const parent = dirname(outputDir);
  await mkdir(parent, { recursive: true });
  await recoverFolders(parent, name => name === basename(outputDir));
  requireSpace(parent, params.bytes);
  const temporary = join(parent, `.${basename(outputDir)}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
  await mkdir(temporary);
  try {
    const result = await build(temporary);
    await syncFolder(temporary);
    const old = `${temporary}.old`;
    if (replaces) await rename(outputDir, old);
    await rename(temporary, outputDir);
    if (replaces) await rm(old, { recursive: true, force: true });
    await syncFolder(parent);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** @returns whether something stands there that is to be replaced */
async function checkOutput(outputDir: string, { overwrite, inputs }: OutputFolderParams): Promise<boolean> {
  const inside = inputs.map(input => resolve(input)).find(input => input === outputDir || isWithin(outputDir, input));
  if (inside !== undefined) throw new ExportError(`${outputDir} holds what is exported (${inside}): choose another output folder`);
  const found = await stat(outputDir).catch(() => undefined);
  if (!found) return false;
  if (!found.isDirectory()) throw new ExportError(`${outputDir} is a file: choose another output folder`);
  if ((await readdir(outputDir)).length > 0 && !overwrite)
    throw new ExportError(`${outputDir} is not empty: choose another output folder, or permit to replace it with --overwrite`);
  return true;
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && resolve(folder, way) === path && way !== path;
}

function requireSpace(folder: string, bytes: number): void {
  const free = freeDiskBytes(folder);
  const mb = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  if (free < bytes + SPARE_BYTES)
    throw new ExportError(
      `the export needs ${mb(bytes)} and ${mb(SPARE_BYTES)} to spare in ${folder}, which has ${mb(free)} free: free some space or choose another output folder`,
    );
}
