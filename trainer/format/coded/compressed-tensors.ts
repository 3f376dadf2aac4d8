/**
 * Weights of the library compressed-tensors (LLM Compressor, RedHatAI): `weight` in 8 bits, or `weight_packed` in words, with
 * `weight_scale`, and maybe `weight_zero_point`, `weight_g_idx` (the group of each column) and `weight_global_scale`. Layers that the
 * config ignores are stored as plain tensors, so names and types say how each layer is stored.
 */
import { isRecord } from '../../narrow.ts';
import { ModelFileError } from '../model-file-error.ts';
import { E2M1, E2M3, E4M3, E8M0 } from '../small-floats.ts';
import type { TensorDType, TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';
import { type CodedForm, type Found, foundWeight } from './coded-form.ts';
import { type CodedWeight, evenGroups, type Grids, plainType, SIGNED, unpackGrid, unsignedLevels } from './coded-weight.ts';
import { readGroups, readIntegers } from './column-groups.ts';
import { groupSizeOf, type Parts, SCALE_TYPES, type Tensors } from './part-checks.ts';

/** Scales of activations and of caches, which belong to programs that quantize those. */
export const OF_ACTIVATIONS = /\.(?:(?:input|output)_(?:scale|zero_point|global_scale)|[qkv]_(?:scale|zero_point)|[kv]_cache_scale)$/;
const NVFP4_GROUP = 16;
/** Microscaling formats (OCP MX v1.0): floats whose scale is an exponent for 32 columns. */
const MX_GROUP = 32;
const EXPONENTS: readonly TensorDType[] = ['U8', 'F8_E8M0'];
const MX_LEVELS: ReadonlyMap<number, Float32Array> = new Map([
  [4, E2M1],
  [6, E2M3],
]);

/** The weights of one group of a config. */
interface Scheme {
  readonly bits: number;
  /** Zero if groups have no size. */
  readonly groupSize: number;
  /** Whether weights may be integers that are packed in words. */
  readonly isPacked: boolean;
  readonly block: readonly number[];
}

function schemesIn(how: Readonly<Record<string, unknown>>): Scheme[] {
  const groups = isRecord(how.config_groups) ? Object.values(how.config_groups) : [];
  return groups.flatMap(group => {
    const { weights, format } = isRecord(group) ? group : {};
    if (!isRecord(weights)) return [];
    const { num_bits: bits, group_size: groupSize, block_structure: block } = weights;
    const isBlock = Array.isArray(block) && block.length === 2 && block.every(size => Number.isInteger(size) && size > 0);
    const isPacked = (weights.type ?? 'int') === 'int' && (format ?? 'pack-quantized') === 'pack-quantized';
    return [{ bits: Number(bits), groupSize: Math.max(0, Number(groupSize ?? 0)), isPacked, block: isBlock ? block.map(Number) : [] }];
  });
}

export const compressedTensors: CodedForm = (tensors, how) => {
  const schemes = schemesIn(how);
  const layers = [...tensors.values()].flatMap(info => findWeight(tensors, info, schemes));
  return { layers, others: [...tensors.keys()].filter(name => OF_ACTIVATIONS.test(name)) };
};

function findWeight(tensors: Tensors, info: TensorInfo, schemes: readonly Scheme[]): Found[] {
  const { name, dtype } = info;
  const isPacked = name.endsWith('.weight_packed');
  const isPlainCodes = name.endsWith('.weight') && (dtype === 'I8' || dtype === 'F8_E4M3');
  if (!isPacked && !isPlainCodes) {
    // Saved in the middle of quantization: the numbers are not yet those that the scales belong to.
    const isUnfinished = name.endsWith('.weight') && tensors.has(`${name}_scale`);
    return isUnfinished ? [{ weight: undefined, problems: [{ tensor: name, message: `is ${dtype}, but has a scale of codes` }] }] : [];
  }
  const base = isPacked ? name.replace(/_packed$/, '') : name;
  const isMx = EXPONENTS.includes(tensors.get(`${base}_scale`)?.dtype ?? 'F32');
  const make = isPlainCodes ? eightBits : dtype !== 'U8' ? packed : isMx ? microscaling : dividedNvfp4;
  return [foundWeight(tensors, parts => make({ parts, base, info, schemes }))];
}

/** The parts of a weight, and the groups of a config. */
export interface CodedInput {
  readonly parts: Parts;
  /** The name of the plain weight. */
  readonly base: string;
  /** The codes. */
  readonly info: TensorInfo;
  readonly schemes: readonly Scheme[];
}

/** Describes codes of 8 bits, with a scale for the weight, a row, a group or a block. */
export function eightBits({ parts, base, info, schemes }: CodedInput): CodedWeight | undefined {
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}_scale`, info.dtype === 'I8' ? SCALE_TYPES : [...SCALE_TYPES, ...EXPONENTS]);
  const zero = parts.optional(`${base}_zero_point`, ['I8', 'F8_E4M3']);
  const order = parts.optional(`${base}_g_idx`, ['I32', 'I64']);
  if (!size || !scale) return undefined;
  const [rows, width] = size;
  const [down = 1, across = 1] = scale.shape;
  const blocks = schemes
    .map(({ block }) => block)
    .find(([r = 0, c = 0]) => Math.ceil(rows / r) === down && Math.ceil(width / c) === across);
  const isWhole = scale.shape.length < 2 && down === 1;
  const rowsPerScale = isWhole || down === 1 ? rows : down === rows ? 1 : blocks?.[0];
  const groupSize = rowsPerScale === blocks?.[0] && blocks ? blocks[1] : groupSizeOf(width, across, sizesOf(schemes));
  if (scale.shape.length > 2 || rowsPerScale === undefined || groupSize === undefined)
    return parts.wrong(scale.name, `is [${scale.shape.join(', ')}], which does not fit ${base} [${rows}, ${width}]`);
  if (zero) parts.fits(zero, ...scale.shape);
  if (order) parts.fits(order, width);
  return {
    ...{ codes: info, parts: parts.names, bits: 8, rowsPerScale, groups: across },
    info: { name: base, shape: [rows, width], dtype: typeOf(scale), byteLength: info.byteLength, quantization: info.dtype },
    layout: { kind: 'rows', rowBytes: width },
    levels: info.dtype === 'I8' ? SIGNED : E4M3,
    readGrids: async (files, path) => ({
      scales: await readScales(files, scale),
      // Floats are symmetric: their zeros are zero.
      ...(zero?.dtype === 'I8' ? { zeros: Float32Array.from(await files.readRaw(zero.name), code => SIGNED[code] as number) } : {}),
      groupOf: (order && (await readGroups(files, order, across, path))) ?? evenGroups(width, groupSize),
    }),
  };
}

/** The type of values: exponents have none of their own. */
const typeOf = (scale: TensorInfo): CodedWeight['info']['dtype'] => (EXPONENTS.includes(scale.dtype) ? 'BF16' : plainType(scale));

async function readScales(files: WeightFiles, { name, dtype }: TensorInfo): Promise<Float32Array> {
  if (!EXPONENTS.includes(dtype)) return files.readFloat32(name);
  return Float32Array.from(await files.readRaw(name), code => E8M0[code] as number);
}

const sizesOf = (schemes: readonly Scheme[]): number[] => schemes.map(({ groupSize }) => groupSize);

/** Schemes that fit the widths of codes and scales. */
function fitting(schemes: readonly Scheme[], words: number, groups: number): number[] {
  const fit = schemes.filter(({ bits, groupSize, isPacked }) => {
    const width = (words * 32) / bits;
    return isPacked && [2, 4, 8].includes(bits) && (groupSize > 0 ? Math.ceil(width / groupSize) : 1) === groups;
  });
  return [...new Set(fit.map(({ bits }) => bits))];
}

function packed({ parts, base, info, schemes }: CodedInput): CodedWeight | undefined {
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}_scale`, SCALE_TYPES);
  const shape = parts.needed(`${base}_shape`, ['I64', 'I32']);
  const zero = parts.optional(`${base}_zero_point`, ['I32']);
  const order = parts.optional(`${base}_g_idx`, ['I32', 'I64']);
  if (info.dtype !== 'I32') return parts.wrong(info.name, `is ${info.dtype}, not I32 or U8`);
  if (!size || !scale || !shape) return undefined;
  const [rows, words] = size;
  const [, groups = 1] = scale.shape;
  const [bits, ...more] = fitting(schemes, words, groups);
  if (bits === undefined || more.length > 0)
    return parts.wrong(
      info.name,
      `is [${rows}, ${words}] with scales [${scale.shape.join(', ')}], which fit ${bits ? 'several' : 'none'} of the config's groups`,
    );
  const width = (words * 32) / bits;
  const groupSize = groupSizeOf(width, groups, sizesOf(schemes));
  if (groupSize === undefined) return parts.wrong(scale.name, `has ${groups} groups, which do not fit ${width} columns`);
  parts.fits(shape, 2);
  if (scale.shape.length === 1 ? !parts.fits(scale, rows) : !parts.fits(scale, rows, groups)) return undefined;
  if (zero) parts.fits(zero, Math.ceil((rows * bits) / 32), groups);
  if (order) parts.fits(order, width);
  const offset = 2 ** (bits - 1);
  const readGrids = async (files: WeightFiles, path: string): Promise<Grids> => {
    await checkShape(files, shape, [rows, width], path);
    const levels = unsignedLevels(bits, offset);
    const place = (row: number, column: number): number => 32 * (Math.floor((row * bits) / 32) * groups + column) + ((row * bits) & 31);
    return {
      scales: await files.readFloat32(scale.name),
      ...(zero ? { zeros: unpackGrid(await files.readRaw(zero.name), [rows, groups], levels, place) } : {}),
      groupOf: (order && (await readGroups(files, order, groups, path))) ?? evenGroups(width, groupSize),
    };
  };
  return {
    ...{ codes: info, parts: parts.names, bits, rowsPerScale: 1, groups, readGrids },
    info: { name: base, shape: [rows, width], dtype: plainType(scale), byteLength: info.byteLength, quantization: `int${bits}` },
    layout: { kind: 'rows', rowBytes: 4 * words },
    levels: unsignedLevels(bits, offset),
  };
}

/** The scale of all is a divisor here. */
const dividedNvfp4 = (input: CodedInput): CodedWeight | undefined =>
  nvfp4(input, input.parts.needed(`${input.base}_global_scale`, ['F32']), (scale, whole) => scale / whole);

/**
 * Describes four-bit floats, two in a byte, with an E4M3 scale for 16 columns and a float32 scale for all.
 * @param combined the scale of columns, from theirs and that of all
 */
export function nvfp4(
  { parts, base, info }: CodedInput,
  whole: TensorInfo | undefined,
  combined: (scale: number, whole: number) => number,
): CodedWeight | undefined {
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}_scale`, ['F8_E4M3']);
  if (!size || !scale || !whole) return undefined;
  const [rows, bytes] = size;
  const width = 2 * bytes;
  const groups = Math.ceil(width / NVFP4_GROUP);
  parts.fits(scale, rows, groups);
  if (whole.shape.length > 0) parts.fits(whole, 1);
  return {
    ...{ codes: info, parts: parts.names, bits: 4, rowsPerScale: 1, groups },
    info: { name: base, shape: [rows, width], dtype: 'BF16', byteLength: info.byteLength, quantization: 'nvfp4' },
    layout: { kind: 'rows', rowBytes: bytes },
    levels: E2M1,
    readGrids: async files => {
      const [all = 1] = await files.readFloat32(whole.name);
      const scales = Float32Array.from(await files.readRaw(scale.name), code => combined(E4M3[code] as number, all));
      return { scales, groupOf: evenGroups(width, NVFP4_GROUP) };
    },
  };
}

/** Floats in 4 or 6 bits, whose bits are one sequence in a row, with an exponent for 32 columns: MXFP4 and MXFP6. */
function microscaling({ parts, base, info }: CodedInput): CodedWeight | undefined {
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}_scale`, EXPONENTS);
  if (!size || !scale) return undefined;
  if (parts.optional(`${base}_zero_point`, EXPONENTS)) return parts.wrong(`${base}_zero_point`, 'is a zero of floats, which is not read');
  const [rows, bytes] = size;
  const [, groups = 0] = scale.shape;
  const width = groups * MX_GROUP;
  const bits = (8 * bytes) / width;
  const levels = MX_LEVELS.get(bits);
  if (!levels) return parts.wrong(info.name, `is [${rows}, ${bytes}], which is not ${groups} groups of ${MX_GROUP} columns in 4 or 6 bits`);
  if (!parts.fits(scale, rows, groups)) return undefined;
  return {
    ...{ codes: info, parts: parts.names, bits, rowsPerScale: 1, groups, levels },
    info: { name: base, shape: [rows, width], dtype: 'BF16', byteLength: info.byteLength, quantization: `mxfp${bits}` },
    layout: { kind: 'rows', rowBytes: bytes },
    readGrids: async files => ({ scales: await readScales(files, scale), groupOf: evenGroups(width, MX_GROUP) }),
  };
}

/** Checks the shape that a tensor of the file describes. */
async function checkShape(files: WeightFiles, { name, dtype }: TensorInfo, expected: readonly number[], path: string): Promise<void> {
  const found = readIntegers(await files.readRaw(name), dtype, expected.length);
  if (found.join() === expected.join()) return;
  const message = `describes [${found.join(', ')}], and the codes are [${expected.join(', ')}]`;
  throw new ModelFileError(path, [{ tensor: name, message }], 'Check num_bits in the quantization_config of config.json.');
}
