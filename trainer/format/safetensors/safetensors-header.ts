/** The header of a safetensors file: read, limited in size and checked before any weight is read. */

import { JsonSyntaxError, parseStrictJson } from '../../files/strict-json.ts';
import { isRecord } from '../../narrow.ts';
import type { ByteFile } from '../byte-file.ts';
import { clip, type FileProblem, ModelFileError } from '../model-file-error.ts';
import { ELEMENT_BYTES, type TensorDType } from '../tensor-source.ts';
import type { WeightEntry } from '../weight-entry.ts';
import { takeChecksums } from './safetensors-checksums.ts';

/** The format's own limit, which keeps a wrong length from filling memory. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Maximum number of dimensions: PyTorch stops at 64, and no model uses more than 5. */
export const MAX_RANK = 16;
/** Maximum number of tensors: the largest mixture-of-experts models have about 100,000 in all their shards. */
const MAX_TENSORS = 1_000_000;

const LENGTH_BYTES = 8;
const DOWNLOAD_AGAIN = 'The file is damaged or not a safetensors file: download or export it again.';

export interface SafetensorsHeader {
  readonly entries: readonly WeightEntry[];
  readonly metadata: Readonly<Record<string, string>>;
  /** The checksum for the whole file; undefined if the file has none. */
  readonly checksum: string | undefined;
}

/**
 * Reads and checks the header: its length against the file, the JSON (no duplicate names), each dtype, each shape × element size against
 * its offsets, that tensors cover the data completely without overlaps or gaps, and its own checksum if there is one.
 * @throws ModelFileError listing every problem
 */
export async function readSafetensorsHeader(file: ByteFile): Promise<SafetensorsHeader> {
  if (file.size < LENGTH_BYTES) throw new ModelFileError(file.path, `is only ${file.size} bytes long`, DOWNLOAD_AGAIN);
  const prefix = await file.read(0, LENGTH_BYTES);
  const declared = new DataView(prefix.buffer).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw new ModelFileError(file.path, `says its header has ${declared} bytes; the format allows ${MAX_HEADER_BYTES}`, DOWNLOAD_AGAIN);
  }
  const headerBytes = Number(declared);
  if (LENGTH_BYTES + headerBytes > file.size) {
    throw new ModelFileError(file.path, `says its header has ${headerBytes} bytes, but the file has only ${file.size}`, DOWNLOAD_AGAIN);
  }
  const text = await file.read(LENGTH_BYTES, headerBytes);
  return parseSafetensorsHeader({ path: file.path, text, fileSize: file.size });
}

/** Parses the header of {@link readSafetensorsHeader}; `text` is the header's bytes. Pure. */
export function parseSafetensorsHeader(input: {
  readonly path: string;
  readonly text: Uint8Array;
  readonly fileSize: number;
}): SafetensorsHeader {
  const json = parseHeaderJson(input.path, input.text);
  const problems: FileProblem[] = [];
  const dataStart = LENGTH_BYTES + input.text.length;
  const dataBytes = input.fileSize - dataStart;
  const { __metadata__: rawMetadata, ...rawTensors } = json;
  const { metadata, checksums } = takeChecksums(checkMetadata(rawMetadata, problems), input.text);
  problems.push(...checksums.problems.map(message => ({ message })));
  const names = Object.keys(rawTensors);
  if (names.length > MAX_TENSORS) {
    throw new ModelFileError(input.path, `lists ${names.length} tensors; at most ${MAX_TENSORS} are read`, DOWNLOAD_AGAIN);
  }
  const entries: WeightEntry[] = [];
  for (const name of names) {
    const entry = checkEntry({ name, raw: rawTensors[name], dataStart, dataBytes, problems });
    if (entry !== undefined) entries.push(entry);
  }
  entries.sort((a, b) => a.position - b.position || a.byteLength - b.byteLength);
  if (problems.length === 0) checkCoverage(entries, dataStart, input.fileSize, problems);
  const { file: checksum, tensors = [] } = checksums;
  if (checksum !== undefined && problems.length === 0 && tensors.length !== entries.length)
    problems.push({ message: `has checksums of ${tensors.length} tensors, but holds ${entries.length}` });
  if (problems.length > 0) throw new ModelFileError(input.path, problems, DOWNLOAD_AGAIN);
  if (checksum === undefined) return { entries, metadata, checksum };
  return { entries: entries.map((entry, i) => ({ ...entry, checksum: tensors[i] })), metadata, checksum };
}

function parseHeaderJson(path: string, bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof JsonSyntaxError ? error.message : 'it is not UTF-8';
    throw new ModelFileError(path, `the header is not valid JSON: ${reason}`, DOWNLOAD_AGAIN);
  }
  if (!isRecord(value)) throw new ModelFileError(path, 'the header is not a JSON object', DOWNLOAD_AGAIN);
  return value;
}

const isTexts = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every(each => typeof each === 'string');

function checkMetadata(raw: unknown, problems: FileProblem[]): Record<string, string> {
  if (raw === undefined) return {};
  if (!isTexts(raw)) {
    problems.push({ message: '__metadata__ must map strings to strings' });
    return {};
  }
  return raw;
}

function checkEntry(input: {
  readonly name: string;
  readonly raw: unknown;
  readonly dataStart: number;
  readonly dataBytes: number;
  readonly problems: FileProblem[];
}): WeightEntry | undefined {
  const { name, raw, problems } = input;
  const bad = (message: string): undefined => {
    problems.push({ tensor: name, message });
    return undefined;
  };
  if (!isRecord(raw)) return bad('is not described by an object');
  const dtype = raw.dtype;
  if (!isDType(dtype)) return bad(`has the unknown dtype ${clip(JSON.stringify(dtype) ?? 'undefined')}`);
  const shape = raw.shape;
  if (!isSizes(shape) || shape.length > MAX_RANK) {
    return bad(`has the shape ${clip(JSON.stringify(shape) ?? 'undefined')}, which is not a list of at most ${MAX_RANK} sizes`);
  }
  const offsets = raw.data_offsets;
  const [start, end] = isSizes(offsets) && offsets.length === 2 ? offsets : [];
  if (start === undefined || end === undefined) return bad('has no data_offsets of two numbers');
  if (start > end || end > input.dataBytes) {
    return bad(`lies at bytes ${start} to ${end}, outside the ${input.dataBytes} bytes of data (a file cut short looks like this)`);
  }
  const byteLength = shape.reduce((n, d) => n * d, ELEMENT_BYTES[dtype]);
  if (byteLength !== end - start) {
    return bad(`is ${dtype} [${shape.join(', ')}], which is ${byteLength} bytes, but takes ${end - start}`);
  }
  return { name, dtype, shape, byteLength, position: input.dataStart + start };
}

/** Checks that entries, sorted by position, cover the data. */
function checkCoverage(entries: readonly WeightEntry[], dataStart: number, fileSize: number, problems: FileProblem[]): void {
  let covered = dataStart;
  for (const entry of entries) {
    if (entry.position < covered)
      problems.push({ tensor: entry.name, message: `overlaps the tensor before it by ${covered - entry.position} bytes` });
    if (entry.position > covered)
      problems.push({ tensor: entry.name, message: `leaves a hole of ${entry.position - covered} bytes before it` });
    covered = Math.max(covered, entry.position + entry.byteLength);
  }
  if (covered < fileSize) problems.push({ message: `has ${fileSize - covered} bytes that belong to no tensor` });
}

const isDType = (value: unknown): value is TensorDType =>
  typeof value === 'string' && value !== 'GGML' && Object.hasOwn(ELEMENT_BYTES, value);

const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every(d => Number.isSafeInteger(d) && d >= 0);
