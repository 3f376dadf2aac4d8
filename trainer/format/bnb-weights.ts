/**
 * Weights in 4 bits as bitsandbytes saves them (NF4 or FP4, QLoRA): two codes in a byte, the first in the upper half; a scale for each
 * block of codes; and with double quantization, the scales as 8-bit codes with scales of their own. Next to `weight` are `weight.absmax`,
 * `weight.quant_map` and `weight.quant_state.bitsandbytes__nf4`, a record in JSON.
 */
import { z } from 'zod';
import { parseStrictJson } from '../files/strict-json.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { type DecodedTensor, type PlainInfo, rounded, weakly, withDecoded } from './decoded-weights.ts';
import { type FileProblem, ModelFileError } from './model-file-error.ts';
import type { TensorInfo } from './tensor-source.ts';
import type { WeightFiles } from './weight-files.ts';

const RECORD = /\.quant_state\.bitsandbytes__(?:nf4|fp4)$/;
/** Published records have 200 bytes. */
const MAX_RECORD_BYTES = 4096;
/** Numbers of values that codes of 4 and of 8 bits stand for. */
const LEVELS = 16;
const SCALE_LEVELS = 256;
const TYPES = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const;

const blockSize = z.number().int().min(16).max(65536);
const recordSchema = z.object({
  blocksize: blockSize,
  dtype: z.enum(['float32', 'bfloat16', 'float16']),
  shape: z.array(z.number().int().positive()).min(1).max(4),
  nested_blocksize: blockSize.optional(),
  nested_offset: z.number().optional(),
});
type QuantRecord = z.infer<typeof recordSchema>;

type Tensors = ReadonlyMap<string, TensorInfo>;

/**
 * Returns the weights in 4 bits, each with the tensor that holds its record.
 * @throws ModelFileError for a tensor that is too long for a record
 */
export const quantizedIn = <Info extends TensorInfo>(
  tensors: ReadonlyMap<string, Info>,
  path: string,
): { readonly weight: Info; readonly holder: Info }[] =>
  [...tensors.values()].flatMap(holder => {
    const { name, byteLength } = holder;
    const weight = RECORD.test(name) ? tensors.get(name.replace(RECORD, '')) : undefined;
    if (weight === undefined) return [];
    if (byteLength > MAX_RECORD_BYTES) throw damaged(path, [{ tensor: name, message: `has ${byteLength} bytes, which is no record` }]);
    return [{ weight, holder }];
  });

/** Returns the name of a quantized weight without its endings, as the tensors that belong to it have it. */
const ownerOf = (name: string): string => name.replace(/\.(?:absmax|quant_map|nested_absmax|nested_quant_map)$/, '').replace(RECORD, '');

/**
 * Describes a weight as a plain tensor.
 * @param bytes the content of its record
 * @throws ModelFileError if the record is none, or describes another number of values
 */
export function describePlain(
  weight: TensorInfo,
  bytes: Uint8Array,
  path: string,
): { readonly info: PlainInfo; readonly record: QuantRecord } {
  const record = parseRecord(weight, bytes, path);
  if (Math.ceil(countOf(record.shape) / 2) !== weight.byteLength)
    throw damaged(path, [
      { tensor: weight.name, message: `has ${weight.byteLength} bytes, and its record describes [${record.shape.join(', ')}] in 4 bits` },
    ]);
  const { name, byteLength } = weight;
  return { info: { name, byteLength, dtype: TYPES[record.dtype], shape: record.shape, quantization: 'bnb4' }, record };
}

function parseRecord({ name }: TensorInfo, bytes: Uint8Array, path: string): QuantRecord {
  try {
    return recordSchema.parse(parseStrictJson(new TextDecoder().decode(bytes)));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : messageOf(error);
    throw damaged(path, [{ tensor: name, message: `has a record of its quantization that cannot be read: ${reason}` }]);
  }
}

const damaged = (path: string, problems: readonly FileProblem[]): ModelFileError =>
  new ModelFileError(path, problems, 'Download the file again.');

/** Returns the tensors with plain ones in place of the weights, without what belongs to their codes. */
export const plainTensors = (tensors: Tensors, plain: ReadonlyMap<string, PlainInfo>): Map<string, TensorInfo> =>
  new Map([...tensors].filter(([name]) => !belongs(name, plain)).map(([name, info]) => [name, plain.get(name) ?? info]));

const belongs = (name: string, plain: ReadonlyMap<string, unknown>): boolean => !plain.has(name) && plain.has(ownerOf(name));

/**
 * Returns the same files with decoded values in place of such weights. Values are rounded to the type that the record names, as
 * bitsandbytes does.
 * @throws ModelFileError for every weight whose parts do not fit each other
 */
export async function withBnbWeights(files: WeightFiles, path: string): Promise<WeightFiles> {
  const decoded = new Map<string, DecodedTensor>();
  const wrong: FileProblem[] = [];
  for (const { weight, holder } of quantizedIn(files.tensors, path)) {
    const { info, record } = describePlain(weight, await files.readBytes(holder.name, 0, holder.byteLength), path);
    const parts = partsOf(info, record);
    wrong.push(...parts.flatMap(part => partProblems(files.tensors, part)));
    decoded.set(weight.name, { info, read: reader(files, info, record) });
  }
  if (wrong.length > 0) throw damaged(path, wrong);
  const hidden = [...files.tensors.keys()].filter(name => belongs(name, decoded));
  return withDecoded(files, decoded, new Set(hidden));
}

const countOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

interface Part {
  readonly name: string;
  readonly dtype: TensorInfo['dtype'];
  readonly count: number;
}

/** The tensors that belong to the codes of a weight. */
function partsOf({ name, shape }: PlainInfo, record: QuantRecord): Part[] {
  const scales = Math.ceil(countOf(shape) / record.blocksize);
  const { nested_blocksize: nested } = record;
  return [
    { name: `${name}.quant_map`, dtype: 'F32', count: LEVELS },
    { name: `${name}.absmax`, dtype: nested === undefined ? 'F32' : 'U8', count: scales },
    ...(nested === undefined
      ? []
      : ([
          { name: `${name}.nested_quant_map`, dtype: 'F32', count: SCALE_LEVELS },
          { name: `${name}.nested_absmax`, dtype: 'F32', count: Math.ceil(scales / nested) },
        ] as const)),
  ];
}

function partProblems(tensors: Tensors, { name, dtype, count }: Part): FileProblem[] {
  const found = tensors.get(name);
  if (found === undefined) return [{ tensor: name, message: 'is missing' }];
  if (found.dtype === dtype && countOf(found.shape) === count) return [];
  return [{ tensor: name, message: `is ${found.dtype} [${found.shape.join(', ')}], not ${dtype} [${count}]` }];
}

function reader(files: WeightFiles, { name, dtype }: PlainInfo, record: QuantRecord): DecodedTensor['read'] {
  // The scales of one weight are read once, since a weight is read in parts; those of all would take a gigabyte.
  const own = weakly(async () => ({ levels: await files.readFloat32(`${name}.quant_map`), scales: await scalesOf(files, name, record) }));
  return async (begin, count) => {
    const { levels, scales } = await own();
    const firstByte = begin >> 1;
    const bytes = await files.readBytes(name, firstByte, Math.ceil((begin + count) / 2) - firstByte);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const at = begin + i;
      const byte = bytes[(at >> 1) - firstByte] as number;
      out[i] = (levels[at & 1 ? byte & 15 : byte >> 4] as number) * (scales[Math.floor(at / record.blocksize)] as number);
    }
    return rounded(out, dtype);
  };
}

async function scalesOf(files: WeightFiles, name: string, record: QuantRecord): Promise<Float32Array> {
  if (record.nested_blocksize === undefined) return files.readFloat32(`${name}.absmax`);
  const [codes, levels, outer] = await Promise.all([
    files.readRaw(`${name}.absmax`),
    files.readFloat32(`${name}.nested_quant_map`),
    files.readFloat32(`${name}.nested_absmax`),
  ]);
  const { nested_blocksize: nested, nested_offset: offset = 0 } = record;
  // Both steps are rounded to float32.
  return Float32Array.from(codes, (code, i) => Math.fround((levels[code] as number) * (outer[Math.floor(i / nested)] as number)) + offset);
}
