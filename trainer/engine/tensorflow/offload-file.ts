/** The file that stores variables between their uses: optimizer state that should not stay in memory. */
import { closeSync, openSync, readSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import type { VariableSpec } from '../../graph/graph.ts';
import type { Program } from '../../graph/program.ts';
import { byteSize, type HostArray } from '../../graph/types.ts';
import { freeDiskBytes } from '../../machine/machine.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import { HOST_ARRAY } from '../host-array.ts';
import type { KernelLibrary } from './kernel-library.ts';

/** Each variable starts at a page boundary. */
const ALIGNMENT = 4096;

export interface OffloadFile {
  /** File descriptor of the open file. */
  readonly file: number;
  /** Offset of each variable in it. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Returns the values of a variable in the file, without moving it back into memory. */
  read(spec: VariableSpec): HostArray;
  close(): void;
}

/**
 * Reserves disk space for every variable of the program whose place is on disk. The file is unlinked at once, so that nothing is left
 * behind, however the process ends.
 * @returns undefined if no variable is stored on disk
 * @throws EngineError if the folder does not exist or has too little space
 */
export function openOffloadFile(
  { variables, places }: Program,
  folder: string | undefined,
  library: KernelLibrary,
): OffloadFile | undefined {
  const offsets = new Map<string, number>();
  let bytes = 0;
  for (const spec of variables) {
    if (places?.get(spec.name) !== 'disk') continue;
    offsets.set(spec.name, bytes);
    bytes += Math.ceil(byteSize(spec) / ALIGNMENT) * ALIGNMENT;
  }
  if (bytes === 0) return undefined;
  if (folder === undefined) throw new EngineError('the program has variables on disk and was given no folder for them');
  const name = path.join(folder, `.optimizer-state.${process.pid}`);
  try {
    // If too much is requested, a file system may fill itself up before it refuses.
    if (freeDiskBytes(folder) < bytes) throw new Error(`${Math.floor(freeDiskBytes(folder) / 1e6)} MB are free`);
    const file = openSync(name, 'wx+', 0o600);
    unlinkSync(name);
    const problem = library.reserve(file, bytes);
    if (problem === '')
      return { file, offsets, close: () => closeSync(file), read: spec => readValues(file, spec, offsets.get(spec.name) ?? 0) };
    closeSync(file);
    throw new Error(problem);
  } catch (error) {
    throw new EngineError(
      `${Math.ceil(bytes / 1e6)} MB for the optimizer's state could not be set aside in ${folder}: ${messageOf(error)}. Free some space, choose another output_dir, or set optimizer_offload: none`,
    );
  }
}

function readValues(file: number, spec: VariableSpec, offset: number): HostArray {
  const bytes = new Uint8Array(byteSize(spec));
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, bytes.length - done, offset + done);
    if (read === 0) throw new EngineError(`the file of the offloaded optimizer state ends before ${spec.name}`);
    done += read;
  }
  return new HOST_ARRAY[spec.dtype](bytes.buffer);
}
