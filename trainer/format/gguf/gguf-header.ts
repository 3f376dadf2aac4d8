/** The header of a GGUF file (versions 2 and 3): metadata and tensor list. Every count is checked before memory is allocated for it. */
import { type ByteFile, parseBeginning } from '../byte-file.ts';
import { clip, type FileProblem, ModelFileError } from '../model-file-error.ts';
import { GgufCursor, type GgufValue } from './gguf-cursor.ts';
import type { GgufEntry } from './gguf-entries.ts';
import { GGUF_TYPES, type GgufType, ggufTypeName, SUPPORTED_GGUF_TYPES } from './gguf-types.ts';

/** Maximum size: a vocabulary of 260,000 tokens with merges takes about 20 MB. */
const MAX_GGUF_HEADER_BYTES = 128 * 1024 * 1024;
/** Maximum number of entries: converters write about fifty. */
const MAX_METADATA = 65_536;
/** Maximum number of tensors, as in safetensors: the largest mixture-of-experts models have about 100,000. */
const MAX_TENSORS = 1_000_000;
/** ggml's own limit. */
const MAX_DIMENSIONS = 4;
/** Maximum alignment: real files use 32, and anything beyond a page or two is implausible. */
const MAX_ALIGNMENT = 65536;
const DEFAULT_ALIGNMENT = 32;
/** "GGUF" read as a little-endian number. */
const MAGIC = 0x46554747;
/**
 * Minimum size of a metadata entry (key length, type and one byte), and of a tensor entry (name length, dimension count, type and offset).
 */
const MIN_METADATA_BYTES = 13;
const MIN_TENSOR_BYTES = 24;

const DOWNLOAD_AGAIN = 'The file is damaged or not a GGUF file: download it again.';

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Row-major, slowest dimension first: the reverse of the file's order. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Offset from the start of the file. */
  readonly position: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
}

/** @throws ModelFileError listing every problem */
export const readGgufHeader = async (file: ByteFile): Promise<GgufHeader> => (await readGguf(file)).header;

/** Returns the header, and its metadata entries as in the file, including types. @throws as `readGgufHeader` */
export function readGguf(file: ByteFile): Promise<{ readonly header: GgufHeader; readonly entries: readonly GgufEntry[] }> {
  return parseBeginning(file, {
    what: 'the header',
    most: MAX_GGUF_HEADER_BYTES,
    remedy: DOWNLOAD_AGAIN,
    parse: bytes => parseGgufHeader({ path: file.path, bytes, fileSize: file.size }),
  });
}

/**
 * Parses `bytes`, the beginning of the file. Pure.
 * @throws NeedMoreBytes if the header continues after `bytes`, ModelFileError if it is wrong
 */
function parseGgufHeader(input: { readonly path: string; readonly bytes: Uint8Array; readonly fileSize: number }): {
  readonly header: GgufHeader;
  readonly entries: readonly GgufEntry[];
} {
  const fail = (message: string): never => {
    throw new ModelFileError(input.path, message, DOWNLOAD_AGAIN);
  };
  const cursor = new GgufCursor(input.bytes, input.fileSize, fail);
  if (cursor.u32() !== MAGIC) fail('does not begin with "GGUF"');
  const version = cursor.u32();
  if (version === 0x03000000 || version === 0x02000000) fail('is a big-endian GGUF file; only little-endian ones are read');
  if (version !== 2 && version !== 3) fail(`is GGUF version ${version}; versions 2 and 3 are read`);
  const tensorCount = cursor.u64('the tensor count');
  const metadataCount = cursor.u64('the metadata count');
  if (tensorCount > MAX_TENSORS) fail(`lists ${tensorCount} tensors; at most ${MAX_TENSORS} are read`);
  if (metadataCount > MAX_METADATA) fail(`lists ${metadataCount} entries of metadata; at most ${MAX_METADATA} are read`);
  cursor.need(
    metadataCount * MIN_METADATA_BYTES + tensorCount * MIN_TENSOR_BYTES,
    `${metadataCount} metadata entries and ${tensorCount} tensors`,
  );
  const metadata = new Map<string, GgufValue>();
  const entries: GgufEntry[] = [];
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.string();
    if (metadata.has(key)) fail(`has the metadata key "${clip(key)}" twice`);
    const begin = cursor.position;
    metadata.set(key, cursor.value(cursor.u32()));
    entries.push({ key, bytes: input.bytes.subarray(begin, cursor.position) });
  }
  const raw = Array.from({ length: tensorCount }, () => readTensorRecord(cursor));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 8 || alignment > MAX_ALIGNMENT || alignment % 8 !== 0) {
    return fail(`has the alignment ${clip(String(alignment))}, which is not a multiple of 8 up to ${MAX_ALIGNMENT}`);
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  return { header: { version, metadata, tensors: checkTensors({ ...input, raw, alignment, dataStart }) }, entries };
}

interface TensorRecord {
  readonly name: string;
  readonly shape: number[];
  readonly typeId: number;
  readonly offset: number;
}

function readTensorRecord(cursor: GgufCursor): TensorRecord {
  const name = cursor.string();
  const rank = cursor.u32();
  if (rank > MAX_DIMENSIONS) cursor.fail(`the tensor "${clip(name)}" has ${rank} dimensions; GGUF allows ${MAX_DIMENSIONS}`);
  const shape = Array.from({ length: rank }, () => cursor.u64(`a dimension of "${clip(name)}"`)).reverse();
  return { name, shape, typeId: cursor.u32(), offset: cursor.u64(`the offset of "${clip(name)}"`) };
}

function checkTensors(input: {
  readonly path: string;
  readonly fileSize: number;
  readonly raw: readonly TensorRecord[];
  readonly alignment: number;
  readonly dataStart: number;
}): GgufTensor[] {
  const { alignment, dataStart, fileSize } = input;
  const problems: FileProblem[] = [];
  const seen = new Set<string>();
  const tensors: GgufTensor[] = [];
  for (const { name, shape, typeId, offset } of input.raw) {
    const bad = (message: string): void => void problems.push({ tensor: name, message });
    if (seen.has(name)) bad('appears twice');
    seen.add(name);
    const type = GGUF_TYPES.get(typeId);
    if (type === undefined) {
      bad(`is stored as ${ggufTypeName(typeId)}; ${SUPPORTED_GGUF_TYPES} are read`);
      continue;
    }
    const count = shape.reduce((n, d) => n * d, 1);
    const byteLength = (count / type.blockElements) * type.blockBytes;
    const position = dataStart + offset;
    if ((shape.at(-1) ?? 1) % type.blockElements !== 0)
      bad(`has rows of ${shape.at(-1)} values, no multiple of the ${type.blockElements} of a ${type.name} block`);
    else if (offset % alignment !== 0) bad(`begins at offset ${offset}, which is not aligned to ${alignment}`);
    else if (!Number.isSafeInteger(count) || position + byteLength > fileSize) {
      bad(`is ${type.name} [${shape.join(', ')}] at byte ${position}, but the file ends at ${fileSize} (a file cut short looks like this)`);
    } else tensors.push({ name, type, shape, byteLength, position });
  }
  tensors.sort((a, b) => a.position - b.position || a.byteLength - b.byteLength);
  let covered = dataStart;
  for (const tensor of problems.length === 0 ? tensors : []) {
    if (tensor.position < covered)
      problems.push({ tensor: tensor.name, message: `overlaps the tensor before it by ${covered - tensor.position} bytes` });
    if (tensor.position - covered >= alignment)
      problems.push({ tensor: tensor.name, message: `leaves a hole of ${tensor.position - covered} bytes before it` });
    covered = Math.max(covered, tensor.position + tensor.byteLength);
  }
  if (problems.length > 0)
    throw new ModelFileError(input.path, problems, 'Use a supported quantization, or download the file again if it is damaged.');
  return tensors;
}
