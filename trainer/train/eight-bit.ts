/**
 * Adam's moments in 8 bits (after Dettmers et al. 2022, "8-bit optimizers via block-wise quantization"). Each block stores codes and its
 * largest magnitude: x = largest · sign · (code / levels)⁴. The fourth power covers 1 down to 2e-10 (unsigned) in steps of a few percent;
 * the paper uses a lookup table instead.
 */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import { chosenOf } from '../method/method.ts';
import type { UpdateGroup } from './update-group.ts';

/** Number of values that share a scale, as in bitsandbytes. */
const EIGHT_BIT_BLOCK = 256;
/** Moments with fewer values stay in float32, as in bitsandbytes: for biases, norms and small factors, 8 bits save nothing. */
export const EIGHT_BIT_FROM = 4096;
/** Number of values of a whole variable that are updated at a time, so that the float32 copies within the step stay small. */
const PART_NUMBERS = 2 ** 22;

/** `signed`: codes 1 … 255 stand for −127 … 127. `unsigned`: codes 0 … 255. */
export type CodeKind = 'signed' | 'unsigned';

const LEVELS: Record<CodeKind, number> = { signed: 127, unsigned: 255 };
/** The code of 0 in signed codes. */
const MIDDLE = 128;
/** Smallest normal float32; keeps the division finite for a block of zeros. */
const TINY = 2 ** -126;

/** A moment of some values: their codes, and the largest magnitude of each block. */
export interface EightBitState {
  readonly kind: CodeKind;
  /** uint8 [1, blocks, 256]: one row, so that it is written in place as a whole. */
  readonly codes: VariableSpec;
  /** float32 [1, blocks, 1]. */
  readonly scales: VariableSpec;
}

export function eightBitState(name: string, count: number, kind: CodeKind): EightBitState {
  const blocks = Math.ceil(count / EIGHT_BIT_BLOCK);
  return {
    kind,
    codes: { name, shape: [1, blocks, EIGHT_BIT_BLOCK], dtype: 'uint8' },
    scales: { name: `${name}.scale`, shape: [1, blocks, 1], dtype: 'float32' },
  };
}

/** Rows [begin, begin + rows) of a group that are updated at once; `suffix` distinguishes their state from that of other parts. */
export interface GroupPart {
  readonly begin: number;
  readonly rows: number;
  readonly suffix: string;
}

/**
 * Splits a group for its updates: a whole variable into parts of about four million values. Chosen rows are not split, since they are read
 * and written together.
 */
export function groupParts({ members, shape: [rows = 1, ...rest] }: UpdateGroup): GroupPart[] {
  const [only] = members;
  const isWhole = members.length === 1 && only !== undefined && !chosenOf(only);
  const step = isWhole ? Math.max(1, Math.floor(PART_NUMBERS / elementCount(rest))) : rows;
  if (step >= rows) return [{ begin: 0, rows, suffix: '' }];
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    begin: i * step,
    rows: Math.min(step, rows - i * step),
    suffix: `.${i}`,
  }));
}

/** The two moments of a part of a group. */
export function eightBitMoments(
  { name, shape: [, ...rest] }: UpdateGroup,
  { rows, suffix }: GroupPart,
): { m: EightBitState; v: EightBitState } {
  const count = rows * elementCount(rest);
  return { m: eightBitState(`${name}.m${suffix}`, count, 'signed'), v: eightBitState(`${name}.v${suffix}`, count, 'unsigned') };
}

/** x of any shape as blocks [1, blocks, 256], padded with zeros. */
export function toBlocks(graph: Graph, x: Node): Node {
  const count = elementCount(x.shape);
  const blocks = Math.ceil(count / EIGHT_BIT_BLOCK);
  const flat = graph.pad(graph.reshape(x, [count]), [0], [blocks * EIGHT_BIT_BLOCK - count]);
  return graph.reshape(flat, [1, blocks, EIGHT_BIT_BLOCK]);
}

/** The inverse of `toBlocks`. */
export function fromBlocks(graph: Graph, x: Node, shape: readonly number[]): Node {
  const flat = graph.reshape(x, [elementCount(x.shape)]);
  return graph.reshape(graph.slice(flat, [0], [elementCount(shape)]), shape);
}

/** The values of a state, float32 [1, blocks, 256]. */
export function readEightBit(graph: Graph, { kind, codes, scales }: EightBitState): Node {
  const code = graph.cast(graph.read(codes), 'float32');
  const unit = graph.mul(graph.read(scales), 1 / LEVELS[kind] ** 4);
  if (kind === 'unsigned') return graph.mul(graph.square(graph.square(code)), unit);
  const centered = graph.sub(code, MIDDLE);
  const square = graph.mul(centered, graph.abs(centered));
  return graph.mul(graph.mul(square, graph.abs(square)), unit);
}

/**
 * Writes values [1, blocks, 256] into a state with stochastic rounding, which preserves their mean: v changes by a thousandth per step,
 * which rounding to the nearest code would always discard.
 * @param noise [1, 1, 256] in [0, 1)
 */
export function writeEightBit(graph: Graph, { kind, codes, scales }: EightBitState, values: Node, noise: Node): Node[] {
  const magnitude = graph.abs(values);
  const largest = graph.max(magnitude, [-1], true);
  const power = graph.mul(graph.div(magnitude, graph.maximum(largest, TINY)), LEVELS[kind] ** 4);
  const lower = graph.floor(graph.sqrt(graph.sqrt(power)));
  const fourth = (x: Node): Node => graph.square(graph.square(x));
  const below = fourth(lower);
  const share = graph.div(graph.sub(power, below), graph.sub(fourth(graph.add(lower, 1)), below));
  const code = graph.add(lower, graph.floor(graph.add(share, noise)));
  // With a second moment of 0, Adam would divide by ε alone, so smaller values become the smallest level.
  const shifted = kind === 'signed' ? graph.add(graph.mul(graph.sign(values), code), MIDDLE) : graph.maximum(code, 1);
  graph.declare(codes);
  graph.declare(scales);
  const row = graph.constant(Int32Array.of(0), [1], 'int32');
  return [graph.updateRows(codes.name, row, graph.cast(shifted, 'uint8')), graph.updateRows(scales.name, row, largest)];
}

/** The fractional parts of consecutive multiples of these fill [0, 1) evenly (Roberts 2018, the sequence R₂). */
const [ALONG_BLOCK, ALONG_STEPS] = [0.7548776662466927, 0.5698402909980532];

/** The step's contribution to the noise. It depends only on the step number, so a resumed run is identical. */
export const ditherOf = (step: number): number => (step * ALONG_STEPS) % 1;

/** The noise of one step, [1, 1, 256], from the feed `dither`. */
export function roundingNoise(graph: Graph): Node {
  const pattern = Float32Array.from({ length: EIGHT_BIT_BLOCK }, (_, i) => ((i + 1) * ALONG_BLOCK) % 1);
  const sum = graph.add(graph.constant(pattern, [1, 1, EIGHT_BIT_BLOCK], 'float32'), graph.feed('dither', []));
  return graph.sub(sum, graph.cast(graph.greaterEqual(sum, 1), 'float32'));
}
