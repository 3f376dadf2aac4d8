/** How a tensor's values are stored in a GGUF file: the order of rows and columns, and the converter's changes to the values. */

import {
  type FileLayout,
  type GgufFamily,
  type LayoutSizes,
  MTP_BLOCKS,
  ROTARY_FEATURES,
  type StateHeads,
} from './families/gguf-family.ts';
import type { GgufValue } from './gguf-cursor.ts';
import { permutedRow } from './gguf-names.ts';

/** @param name llama.cpp's name @param shape in the file */
export function layoutOf(name: string, shape: readonly number[], family: GgufFamily, sizes: LayoutSizes): FileLayout {
  const kind = /^blk\.\d+\.attn_(q|k)\./.exec(name)?.[1];
  const headDim = (shape[0] ?? 0) / (kind === 'q' ? sizes.heads : sizes.kvHeads);
  const { normOffset: offset } = family;
  return {
    ...(family.interleaved && kind !== undefined && { rows: (row: number) => permutedRow(row, headDim) }),
    ...(family.splitsPairs && kind !== undefined && { rows: splitPairs(headDim, sizes.rotated ?? headDim) }),
    ...(family.splitsHeads && /^blk\.\d+\.attn_qkv\./.test(name) && { rows: splitHeads((shape[0] ?? 0) / 3, sizes.heads) }),
    ...(offset !== 0 && /norm\.weight$/.test(name) && { values: { toFile: x => x + offset, toModel: x => x - offset } }),
    ...(sizes.state && family.layout?.(name, shape, sizes.state)),
    ...(sizes.multipliers && { multiplier: sizes.multipliers[stemOf(name)] }),
  };
}

/** The file's row for each row of the model: the first features of all rotating pairs, the second ones, and features that do not rotate. */
function splitPairs(headDim: number, rotated: number): FileLayout['rows'] {
  if (!Number.isInteger(headDim) || rotated > headDim || rotated % 2 !== 0) return undefined;
  return row => {
    const within = row % headDim;
    return within < rotated ? row - within + Math.floor(within / 2) + (within % 2) * (rotated / 2) : row;
  };
}

/** The file's row for each row of the model: those of all queries, then of all keys and of all values. */
function splitHeads(rows: number, heads: number): FileLayout['rows'] {
  const headDim = rows / heads;
  if (!Number.isInteger(headDim)) return undefined;
  return row => {
    const part = Math.floor(row / headDim);
    return (part % 3) * rows + Math.floor(part / 3) * headDim + (row % headDim);
  };
}

/** The sizes in the metadata that the order depends on. */
export function layoutSizes(metadata: ReadonlyMap<string, GgufValue>): LayoutSizes {
  const number = (key: string): number | undefined => {
    const value = metadata.get(`${String(metadata.get('general.architecture'))}.${key}`);
    return typeof value === 'number' ? value : undefined;
  };
  const heads = number('attention.head_count') ?? 1;
  const kvHeads = metadata.get(`${String(metadata.get('general.architecture'))}.attention.head_count_kv`);
  const [keyHeads, valueHeads] = [number('ssm.group_count'), number('ssm.time_step_rank')];
  const state = keyHeads !== undefined && valueHeads !== undefined ? { keyHeads, heads: valueHeads } : undefined;
  return { heads, kvHeads: firstOf(kvHeads) ?? heads, state, rotated: number(ROTARY_FEATURES) };
}

/** The value, or the first nonzero one if there is one per block. */
export function firstOf(value: GgufValue | undefined): number | undefined {
  const found = Array.isArray(value) ? value.find(Boolean) : value;
  return typeof found === 'number' ? found : undefined;
}

/** The number of blocks of the model: those of the file without the MTP blocks at the end. */
export function blocksOfModel(metadata: ReadonlyMap<string, GgufValue>, architecture: string, { computed }: GgufFamily): number {
  const number = (key: string): number => Number(metadata.get(`${architecture}.${key}`) ?? 0);
  return number('block_count') - (computed.includes(MTP_BLOCKS) ? number(MTP_BLOCKS) : 0);
}

/** Reorders values [rows, …] from the model's order to the file's. May return the given array. */
export function inFileOrder(values: Float32Array, shape: readonly number[], layout: FileLayout): Float32Array {
  const { toFile } = layout.values ?? {};
  return reordered(multiplied(toFile ? values.map(toFile) : values, shape, layout), shape, layout, true);
}

/** The inverse of `inFileOrder`. */
export function inModelOrder(values: Float32Array, shape: readonly number[], layout: FileLayout): Float32Array {
  const { toModel } = layout.values ?? {};
  return withoutMultiplier(reordered(toModel ? values.map(toModel) : values, shape, layout, false), shape, layout);
}

/** Multiplies rows in the model's order. May return the given array. */
function multiplied(values: Float32Array, [rows = 1]: readonly number[], { multiplier = [] }: FileLayout): Float32Array {
  const width = values.length / rows;
  const by = (all: Float32Array, factor: number | Float32Array): Float32Array =>
    typeof factor === 'number' ? all.map(x => Math.fround(factor) * x) : all.map((x, i) => (factor[Math.floor(i / width)] ?? 1) * x);
  return multiplier.filter(factor => factor !== 1).reduce(by, values);
}

/** The inverse of the factors of a file's weights. */
export const withoutMultiplier = (values: Float32Array, shape: readonly number[], { multiplier }: FileLayout): Float32Array =>
  multiplied(values, shape, { multiplier: multiplier?.map(factor => (typeof factor === 'number' ? 1 / factor : factor.map(x => 1 / x))) });

/** True if a range of whole rows is contiguous in the file. */
export const keepsRows = ({ rows, columns }: FileLayout): boolean => rows === undefined && columns === undefined;

function reordered(values: Float32Array, shape: readonly number[], layout: FileLayout, isToFile: boolean): Float32Array {
  if (keepsRows(layout)) return values;
  const rows = shape[0] ?? 1;
  const width = values.length / rows;
  const columns = layout.columns && Int32Array.from({ length: width }, (_, column) => layout.columns?.(column) ?? column);
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const place = layout.rows?.(row) ?? row;
    const [from, to] = isToFile ? [row, place] : [place, row];
    if (columns === undefined) out.set(values.subarray(from * width, (from + 1) * width), to * width);
    else
      for (const [column, other] of columns.entries()) {
        const [source, target] = isToFile ? [column, other] : [other, column];
        out[to * width + target] = values[from * width + source] as number;
      }
  }
  return out;
}

/**
 * The shape of a model's tensor in the file. If the family says so, the second-to-last axis, of size 1, is omitted, and a vector becomes a
 * matrix.
 */
export function shapeInFile(
  name: string,
  shape: readonly number[],
  { squeezed, folded, squares }: GgufFamily,
  state?: StateHeads,
): readonly number[] {
  if (squares?.test(name)) return [(shape[0] ?? 0) / (shape[1] ?? 1), ...shape.slice(1), ...shape.slice(1)];
  if (squeezed?.test(name) && shape.at(-2) === 1) return [...shape.slice(0, -2), ...shape.slice(-1)];
  const [size = 0, ...rest] = shape;
  const rows = folded?.[stemOf(name)];
  return rows === undefined || state === undefined || rest.length > 0 ? shape : [state[rows], size / state[rows]];
}

/** The inverse of `shapeInFile`. */
export function shapeInModel(name: string, shape: readonly number[], { squeezed, folded, squares }: GgufFamily): readonly number[] {
  if (squares?.test(name)) return [(shape[0] ?? 1) * (shape[1] ?? 1), ...shape.slice(2)];
  if (folded && Object.hasOwn(folded, stemOf(name))) return [shape.reduce((count, size) => count * size, 1)];
  return squeezed?.test(name) ? [...shape.slice(0, -1), 1, ...shape.slice(-1)] : shape;
}

/** The name within or outside a block, up to its first dot. */
const stemOf = (name: string): string => /^(?:blk\.\d+\.)?(\w+)/.exec(name)?.[1] ?? name;
