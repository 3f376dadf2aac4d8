/**
 * A matrix that a file stores as codes on grids: value = (code − zero) × scale, or code × scale + bias, where the columns of a row are
 * divided into groups that have a scale and a zero or bias each. It is decoded row by row while it is read.
 */
import { type DecodedTensor, type PlainInfo, rounded, weakly } from '../decoded-weights.ts';
import type { TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';

/** The positions of the codes of a matrix in the bytes of a tensor. Words are 32 bits, little-endian, the first code in the lowest bits. */
export type Layout =
  /** Each row by itself, in whole bytes. */
  | { readonly kind: 'rows'; readonly rowBytes: number }
  /** A tensor of words [⌈columns × bits / 32⌉, rows]; the bits of a row are one sequence: GPTQ. */
  | { readonly kind: 'columns' }
  /** A tensor of words [columns, rows / 8]; a word has the codes of eight rows in this order: AWQ. */
  | { readonly kind: 'interleaved' };

/** The numbers that turn codes into values. */
export interface Grids {
  /** [⌈rows / rowsPerScale⌉, groups], one after the other for each matrix of a stack. */
  readonly scales: Float32Array;
  /** Same shape; zero if absent. */
  readonly zeros?: Float32Array;
  /** Same shape; added to the products, which are rounded before. */
  readonly biases?: Float32Array;
  /** The group of each column. */
  readonly groupOf: Int32Array;
}

export interface CodedWeight {
  /** The plain tensor, with the type that values are rounded to. */
  readonly info: PlainInfo;
  /** The tensor that holds the codes. */
  readonly codes: TensorInfo;
  /** The other tensors that belong to it. */
  readonly parts: readonly string[];
  readonly bits: number;
  readonly layout: Layout;
  /** The number that each code stands for. */
  readonly levels: Float32Array;
  readonly rowsPerScale: number;
  readonly groups: number;
  /** Reads scales, zeros and groups. @throws ModelFileError if their values do not fit */
  readonly readGrids: (files: WeightFiles, path: string) => Promise<Grids>;
}

/** The type that values are rounded to: that of the scales, as the libraries compute. */
export const plainType = ({ dtype }: TensorInfo): PlainInfo['dtype'] => (dtype === 'BF16' || dtype === 'F16' ? dtype : 'F32');

/** The position in a word of AWQ at which each of eight rows has its code. */
const AWQ_POSITION = [0, 4, 1, 5, 2, 6, 3, 7] as const;

/** Returns the reader of a matrix. Scales, zeros and groups are kept for as long as memory allows, since it is read in parts. */
export function decoderOf(files: WeightFiles, weight: CodedWeight, path: string): DecodedTensor {
  const { info, codes, layout } = weight;
  const width = info.shape.at(-1) ?? 1;
  const rows = info.shape.slice(0, -1).reduce((n, size) => n * size, 1);
  const grids = weakly(() => weight.readGrids(files, path));
  const whole = weakly(() => files.readRaw(codes.name));
  const read = async (begin: number, count: number): Promise<Float32Array> => {
    if (count === 0) return new Float32Array(0);
    const first = Math.floor(begin / width);
    const end = Math.min(rows, Math.ceil((begin + count) / width));
    const bytes =
      layout.kind === 'rows' ? await files.readBytes(codes.name, first * layout.rowBytes, (end - first) * layout.rowBytes) : await whole();
    const values = new Float32Array((end - first) * width);
    decodeRows(bytes, weight, { first, grids: await grids() }, values);
    return values.length === count ? values : values.slice(begin - first * width, begin - first * width + count);
  };
  return { info, read };
}

interface Rows {
  /** The first row that is decoded. */
  readonly first: number;
  readonly grids: Grids;
}

/**
 * Decodes whole rows into `out`. Values are computed and rounded once for each code of a group, if a group has more values than codes.
 * @param bytes the codes of these rows if each row has bytes of its own, otherwise all
 */
function decodeRows(bytes: Uint8Array, weight: CodedWeight, { first, grids }: Rows, out: Float32Array): void {
  const { bits, rowsPerScale, groups, levels, info } = weight;
  const { groupOf } = grids;
  const width = groupOf.length;
  const rowsOfMatrix = info.shape.at(-2) ?? 1;
  const scalesOfMatrix = Math.ceil(rowsOfMatrix / rowsPerScale);
  const hasTable = groups * levels.length <= width * rowsPerScale;
  const all = hasTable ? allCodes(groups, levels.length) : undefined;
  const codes = new Uint8Array(width);
  let values: Float32Array = new Float32Array();
  let gridRow = -1;
  for (let row = first; (row - first) * width < out.length; row++) {
    const own = Math.floor(row / rowsOfMatrix) * scalesOfMatrix + Math.floor((row % rowsOfMatrix) / rowsPerScale);
    if (own !== gridRow && all) values = valuesOf(weight, grids, own, all);
    gridRow = own;
    readCodes(bytes, weight, weight.layout.kind === 'rows' ? row - first : row, codes);
    const start = (row - first) * width;
    if (!all) {
      out.set(valuesOf(weight, grids, own, { codes, groupOf }), start);
      continue;
    }
    for (let column = 0; column < width; column++)
      out[start + column] = values[((groupOf[column] as number) << bits) | (codes[column] as number)] as number;
  }
}

/** Codes, and the group of each. */
interface Coded {
  readonly codes: Uint8Array;
  readonly groupOf: Int32Array;
}

/** Returns all codes in each group, [groups, codes]. */
const allCodes = (groups: number, count: number): Coded => ({
  codes: Uint8Array.from({ length: groups * count }, (_, i) => i % count),
  groupOf: evenGroups(groups * count, count),
});

/** Returns the values of codes with a row of scales. */
function valuesOf({ levels, groups, info }: CodedWeight, grids: Grids, gridRow: number, { codes, groupOf }: Coded): Float32Array {
  const { scales, zeros, biases } = grids;
  const first = gridRow * groups;
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const grid = first + (groupOf[i] as number);
    const zero = zeros ? (zeros[grid] as number) : 0;
    values[i] = ((levels[codes[i] as number] as number) - zero) * (scales[grid] as number);
  }
  const products = rounded(values, info.dtype);
  if (!biases) return products;
  return rounded(
    products.map((product, i) => product + (biases[first + (groupOf[i] as number)] as number)),
    info.dtype,
  );
}

/** Reads the codes of one row. */
function readCodes(bytes: Uint8Array, { layout, bits, info }: CodedWeight, row: number, codes: Uint8Array): void {
  const [rows = 1] = info.shape;
  const mask = 2 ** bits - 1;
  const width = codes.length;
  switch (layout.kind) {
    case 'rows':
      for (let column = 0; column < width; column++) {
        const bit = column * bits;
        const at = row * layout.rowBytes + (bit >> 3);
        // Codes of 3, 5 and 6 bits also begin in one byte and end in the next.
        const next = (bit & 7) + bits > 8 ? (bytes[at + 1] as number) << 8 : 0;
        codes[column] = (((bytes[at] as number) | next) >> (bit & 7)) & mask;
      }
      return;
    case 'columns':
      for (let column = 0; column < width; column++) {
        const bit = column * bits;
        const at = byteOfColumn(bit >> 3, row, rows);
        // Codes of 3 bits also begin in one byte or word, and end in the next.
        const next = (bit & 7) + bits > 8 ? (bytes[byteOfColumn((bit >> 3) + 1, row, rows)] as number) << 8 : 0;
        codes[column] = (((bytes[at] as number) | next) >> (bit & 7)) & mask;
      }
      return;
    case 'interleaved': {
      const bit = 4 * (AWQ_POSITION[row & 7] as number);
      const first = 4 * (row >> 3) + (bit >> 3);
      const step = rows / 2;
      for (let column = 0; column < width; column++) codes[column] = ((bytes[first + column * step] as number) >> (bit & 7)) & mask;
      return;
    }
  }
}

/** The position of a byte of the codes of a row, if words of rows alternate. */
const byteOfColumn = (byte: number, row: number, rows: number): number => 4 * ((byte >> 2) * rows + row) + (byte & 3);

/**
 * Reads small codes of zeros or scales as a matrix [rows, columns] of numbers.
 * @param place the position of a code in bits
 */
export function unpackGrid(
  bytes: Uint8Array,
  [rows, columns]: readonly [number, number],
  levels: Float32Array,
  place: (row: number, column: number) => number,
): Float32Array {
  const mask = levels.length - 1;
  const bits = Math.log2(levels.length);
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const bit = place(row, column);
      const at = Math.floor(bit / 8);
      const next = (bit % 8) + bits > 8 ? (bytes[at + 1] as number) << 8 : 0;
      out[row * columns + column] = levels[(((bytes[at] as number) | next) >> (bit % 8)) & mask] as number;
    }
  }
  return out;
}

/** The group of each column if groups are neighbors. */
export const evenGroups = (width: number, size: number): Int32Array => Int32Array.from({ length: width }, (_, i) => Math.floor(i / size));

/** The numbers of codes that are integers, minus an offset. */
export const unsignedLevels = (bits: number, offset = 0): Float32Array => Float32Array.from({ length: 2 ** bits }, (_, i) => i - offset);

/** The numbers of codes that are integers of 8 bits with signs. */
export const SIGNED = Float32Array.from({ length: 256 }, (_, code) => (code < 128 ? code : code - 256));

/** The position in bits of a code in rows of so many words of AWQ. */
export const awqPlace = (row: number, column: number, words: number): number =>
  32 * (row * words + (column >> 3)) + 4 * (AWQ_POSITION[column & 7] as number);
