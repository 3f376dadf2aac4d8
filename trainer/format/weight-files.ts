/**
 * Files of named weights as one TensorSource, in any format: one file, or shards listed in an index. Uses positioned reads, with one tensor
 * in memory at a time.
 */

import { basename, dirname, join } from 'node:path';
import { MISMATCH_REMEDY } from '../files/checksum.ts';
import { parseStrictJson } from '../files/strict-json.ts';
import { isRecord } from '../narrow.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { type ByteFile, openByteFile, readModelFile } from './byte-file.ts';
import { currentName } from './current-name.ts';
import { clip, type FileProblem, ModelFileError } from './model-file-error.ts';
import { fingerprintTensors, type TensorInfo, type TensorSource } from './tensor-source.ts';
import { partOf, readAsBfloat16, readAsFloat32, readBytes, verifyBytes, type WeightEntry } from './weight-entry.ts';

/** Maximum size of an index: that of a 1T-parameter model is under 10 MB. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/** Maximum number of shards, more than any published model has; each needs one open file. */
const MAX_SHARDS = 1024;

/** A file format for named tensors. */
export interface WeightFormat {
  /** The extension of its file names. */
  readonly extension: string;
  /** Reads the header and checks that each tensor is within the file. */
  readonly readHeader: (file: ByteFile) => Promise<{
    readonly entries: readonly WeightEntry[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly checksum?: string | undefined;
  }>;
}

export interface WeightFiles extends TensorSource {
  /** The names of each file's tensors, in order; needed by an export with the same sharding. */
  readonly shards: ReadonlyMap<string, readonly string[]>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The checksum of a single file, if the file has one for all its contents. */
  readonly checksum: string | undefined;
  /**
   * Reads every tensor and verifies its checksum.
   * @returns false if a file has no checksums, so that it cannot be verified
   * @throws ModelFileError that names every tensor that does not match
   */
  verify(): Promise<boolean>;
  /** Compares two tensors value by value, in pieces, up to the first difference. */
  haveSameNumbers(first: string, second: string): Promise<boolean>;
}

interface Located {
  readonly file: ByteFile;
  readonly entry: WeightEntry;
}

/**
 * Opens a weight file, or all files that an index (`.json`) lists.
 * @throws ModelFileError listing every problem of a file, or every disagreement between index and shards
 */
export async function openWeightFiles(path: string, format: WeightFormat): Promise<WeightFiles> {
  return path.endsWith('.json') ? openSharded(path, format) : openShards([path], format);
}

const current = (entry: WeightEntry): WeightEntry => ({ ...entry, name: currentName(entry.name) });

async function openShards(
  paths: readonly string[],
  format: WeightFormat,
  check?: (located: ReadonlyMap<string, Located>) => void,
): Promise<WeightFiles> {
  const files: ByteFile[] = [];
  const closeAll = async (): Promise<void> => {
    await Promise.all(files.map(file => file.close()));
  };
  try {
    const located = new Map<string, Located>();
    const shards = new Map<string, string[]>();
    let metadata: Readonly<Record<string, string>> = {};
    let checksum: string | undefined;
    for (const path of paths) {
      const file = await openByteFile(path);
      files.push(file);
      const header = await format.readHeader(file);
      metadata = { ...metadata, ...header.metadata };
      checksum = paths.length === 1 ? header.checksum : undefined;
      const entries = header.entries.map(current);
      for (const entry of entries) {
        if (located.has(entry.name)) {
          throw new ModelFileError(path, [{ tensor: entry.name, message: 'is also in another shard' }], 'Remove one of the two shards.');
        }
        located.set(entry.name, { file, entry });
      }
      shards.set(
        basename(path),
        entries.map(({ name }) => name),
      );
    }
    check?.(located);
    return sourceOf({ located, shards, metadata, checksum, path: paths[0] ?? '', close: closeAll });
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openSharded(indexPath: string, format: WeightFormat): Promise<WeightFiles> {
  const weightMap = await readIndex(indexPath, format);
  const folder = dirname(indexPath);
  const names = [...new Set(weightMap.values())];
  return openShards(
    names.map(name => join(folder, name)),
    format,
    located => {
      const problems: FileProblem[] = [];
      for (const [tensor, shard] of weightMap) {
        const found = located.get(tensor);
        if (found === undefined || basename(found.file.path) !== shard)
          problems.push({ tensor, message: `is not in ${shard}, where the index places it` });
      }
      for (const tensor of located.keys())
        if (!weightMap.has(tensor)) problems.push({ tensor, message: 'is in a shard, but not in the index' });
      if (problems.length > 0)
        throw new ModelFileError(indexPath, problems, 'Index and shards are of different models: download all of them again.');
    },
  );
}

/** @throws ModelFileError for anything but `{weight_map: {tensor: plain file name}}` */
export async function readIndex(path: string, { extension }: Pick<WeightFormat, 'extension'>): Promise<Map<string, string>> {
  const remedy = 'Download the index again.';
  const bytes = await readModelFile(path, MAX_INDEX_BYTES);
  let json: unknown;
  try {
    json = parseStrictJson(bytes.toString('utf8'));
  } catch (error) {
    throw new ModelFileError(path, `is not valid JSON: ${messageOf(error)}`, remedy);
  }
  const map = isRecord(json) ? json.weight_map : undefined;
  if (!isRecord(map)) throw new ModelFileError(path, 'has no weight_map object', remedy);
  const problems: FileProblem[] = [];
  const result = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard === 'string' && /^[\w.-]+$/.test(shard) && shard.endsWith(extension)) result.set(currentName(tensor), shard);
    else problems.push({ tensor, message: `is placed in ${clip(JSON.stringify(shard))}, which is not a plain ${extension} file name` });
  }
  const shards = new Set(result.values()).size;
  if (shards > MAX_SHARDS) problems.push({ message: `names ${shards} shards; at most ${MAX_SHARDS} are opened` });
  if (problems.length > 0) throw new ModelFileError(path, problems, remedy);
  return result;
}

function sourceOf(input: {
  readonly located: ReadonlyMap<string, Located>;
  readonly shards: ReadonlyMap<string, readonly string[]>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly checksum: string | undefined;
  readonly path: string;
  readonly close: () => Promise<void>;
}): WeightFiles {
  const { located } = input;
  const find = (name: string): Located => {
    const found = located.get(name);
    if (found === undefined)
      throw new ModelFileError(
        input.path,
        [{ tensor: name, message: 'is not in this model' }],
        'Check that config.json belongs to these weights.',
      );
    return found;
  };
  const readSome = async (name: string, begin: number, count: number): Promise<Uint8Array> => {
    const { file, entry } = find(name);
    return entry.strides === undefined
      ? file.read(entry.position + begin, count)
      : (await readBytes(file, entry)).slice(begin, begin + count);
  };
  const tensors = new Map<string, TensorInfo>();
  for (const [name, { entry }] of located) {
    tensors.set(name, { name, dtype: entry.dtype, shape: entry.shape, byteLength: entry.byteLength });
  }
  return {
    tensors,
    shards: input.shards,
    metadata: input.metadata,
    checksum: input.checksum,
    verify: () => verifyAll(located.values()),
    readFloat32: async (name, memory) => {
      const { file, entry } = find(name);
      return readAsFloat32(file, entry, memory);
    },
    readBfloat16: async (name, memory) => {
      const { file, entry } = find(name);
      return readAsBfloat16(file, entry, memory);
    },
    readRaw: async name => {
      const { file, entry } = find(name);
      return readBytes(file, entry);
    },
    readPart: async (name, begin, count) => {
      const { file, entry } = find(name);
      return entry.strides === undefined
        ? readAsFloat32(file, partOf(entry, begin, count))
        : (await readAsFloat32(file, entry)).slice(begin, begin + count);
    },
    readBytes: readSome,
    fingerprint: () => fingerprintTensors(tensors.values(), ({ name }, start, end) => readSome(name, start, end - start)),
    haveSameNumbers: async (first, second) => haveSameNumbers(find(first), find(second)),
    close: input.close,
  };
}

async function verifyAll(located: Iterable<Located>): Promise<boolean> {
  const problems = new Map<string, FileProblem[]>();
  let hasAll = true;
  for (const { file, entry } of located) {
    try {
      hasAll = (await verifyBytes(file, entry)) && hasAll;
    } catch (error) {
      if (!(error instanceof ModelFileError)) throw error;
      problems.set(file.path, [...(problems.get(file.path) ?? []), ...error.problems]);
    }
  }
  for (const [path, found] of problems) throw new ModelFileError(path, found, MISMATCH_REMEDY);
  return hasAll;
}

/** Bytes of each tensor in memory during a comparison. */
const COMPARED_BYTES = 2 ** 20;

async function haveSameNumbers(a: Located, b: Located): Promise<boolean> {
  const [first, second] = [a.entry, b.entry];
  if (first.shape.join() !== second.shape.join()) return false;
  const isPlain = first.strides === undefined && second.strides === undefined;
  if (!isPlain || first.dtype !== second.dtype) {
    const [x, y] = [await readAsFloat32(a.file, first), await readAsFloat32(b.file, second)];
    return x.every((value, i) => value === y[i]);
  }
  if (a.file === b.file && first.position === second.position) return true;
  for (let at = 0; at < first.byteLength; at += COMPARED_BYTES) {
    const count = Math.min(COMPARED_BYTES, first.byteLength - at);
    const [x, y] = await Promise.all([a.file.read(first.position + at, count), b.file.read(second.position + at, count)]);
    if (Buffer.compare(x, y) !== 0) return false;
  }
  return true;
}
