/** The folder of an export: built next to its final place, and moved there once it is complete and verified. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { ExportFormat } from '../catalog/artifacts.ts';
import { buildFolderDurably, makeFolder, recoverFolders } from '../files/durable-folder.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { freeDiskBytes } from '../machine/machine.ts';
import { byteSize } from '../protocol/text/format.ts';
import { ExportError } from './export-error.ts';
import { foreignParts, writeManifest } from './export-manifest.ts';

/**
 * Free space beyond the tensors of an export, for the configuration and the tokenizer next to them, and for the rest of the disk: a tenth,
 * within bounds.
 */
export const spareBytes = (bytes: number): number => Math.min(128 * 2 ** 20, Math.max(4 * 2 ** 20, bytes / 10));
/** Maximum number of names in a message; the rest are counted. */
const MAX_NAMED = 5;

export interface OutputFolderParams {
  readonly outputDir: string;
  readonly format: ExportFormat;
  readonly overwrite: boolean;
  /** The size of the files to write. */
  readonly bytes: number;
  /** Commands that use the result, for its list of files. */
  readonly commands?: Readonly<Record<string, string>> | undefined;
  /** Folders that are read and so must not be replaced. */
  readonly inputs: readonly string[];
}

/**
 * Runs `build` on an empty temporary folder and moves it to `outputDir`. If it throws, nothing is left behind and `outputDir` is unchanged.
 * Only files that an export wrote are ever replaced.
 * @throws ExportError if the folder holds anything else, contains an input, cannot be written, or the disk is full
 */
export async function buildFolder<T>(params: OutputFolderParams, build: (dir: string) => Promise<T>): Promise<T> {
  const unusable = await whyNotWritable(params.outputDir, 0);
  if (unusable !== undefined)
    throw new ExportError(`nothing can be written to ${params.outputDir}: ${unusable}. Choose another output folder`);
  // Follow links: the folder that a link points to may be replaced.
  const outputDir = await realpath(params.outputDir).catch(() => resolve(params.outputDir));
  const parent = dirname(outputDir);
  await recoverFolders(parent, name => name === basename(outputDir));
  await checkOutput(outputDir, params);
  await makeFolder(parent);
  requireSpace(parent, params.bytes);
  return buildFolderDurably(outputDir, async dir => {
    const result = await build(dir);
    await writeManifest(dir, params.format, params.commands);
    return result;
  });
}

async function checkOutput(outputDir: string, { overwrite, inputs }: OutputFolderParams): Promise<void> {
  const real = await Promise.all(inputs.map(input => realpath(input).catch(() => resolve(input))));
  const inside = real.find(input => input === outputDir || isWithin(outputDir, input));
  if (inside !== undefined) throw new ExportError(`${outputDir} holds what is exported (${inside}): choose another output folder`);
  const found = await stat(outputDir).catch(() => undefined);
  if (!found || (await readdir(outputDir)).length === 0) return;
  const foreign = await foreignParts(outputDir);
  if (foreign.length > 0) {
    const named = foreign.slice(0, MAX_NAMED).join(', ');
    const more = foreign.length > MAX_NAMED ? ` and ${foreign.length - MAX_NAMED} more` : '';
    throw new ExportError(
      `${outputDir} is not empty, and rowtune did not write all that is in it (${named}${more}), so it is not replaced: choose another output folder, or move these files away`,
    );
  }
  if (!overwrite)
    throw new ExportError(`${outputDir} is not empty: choose another output folder, or permit to replace it with --overwrite`);
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && resolve(folder, way) === path && way !== path;
}

function requireSpace(folder: string, bytes: number): void {
  const free = freeDiskBytes(folder);
  const spare = spareBytes(bytes);
  if (free < bytes + spare)
    throw new ExportError(
      `the export needs ${byteSize(bytes)} and ${byteSize(spare)} to spare in ${folder}, which has ${byteSize(free)} free: free some space or choose another output folder`,
    );
}
