/**
 * 4-bit NormalFloat with double quantization (Dettmers et al. 2023, QLoRA): blocks of 64 values share a scale, and groups of 256 scales are
 * in turn stored in 8 bits with a common range.
 */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { elementCount, type Shape } from '../graph/types.ts';
import { type BlockCodes, CODE_BLOCK, SCALE_RANGE, type StoredValues, type WeightCoder } from '../graph/weight-coder.ts';

/** Quantiles of a normal distribution scaled to [−1, 1], including 0 (appendix E of the paper). */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
];

/** Midpoints between neighboring levels: a value takes the level of the interval it lies in. */
export const NF4_BORDERS = Float64Array.from(NF4_LEVELS.slice(1), (level, i) => (level + (NF4_LEVELS[i] as number)) / 2);

/**
 * Number of equal parts of [−1, 1]. There are so many that few values share a part with a border; two borders never share one, since they
 * are far apart.
 */
const PARTS = 4096;
const partOf = (x: number): number => ((x + 1) * (PARTS / 2)) | 0;
/** Added to the code of a part that contains a border. */
const ON_BORDER = 16;
/** The code of each part: the number of borders in earlier parts. */
const CODES = Uint8Array.from({ length: PARTS + 1 }, (_, part) => {
  const before = NF4_BORDERS.filter(border => partOf(border) < part).length;
  return NF4_BORDERS.some(border => partOf(border) === part) ? before + ON_BORDER : before;
});

export interface Nf4Variables {
  /** uint8 [blocks · 32]: two codes per byte, the first in the upper half, as bitsandbytes packs them. */
  readonly codes: VariableSpec;
  /** uint8 [scaleBlocks, 256]. */
  readonly scales: VariableSpec;
  /** Both float32 [scaleBlocks, 1]: a scale is low + code · step. */
  readonly low: VariableSpec;
  readonly step: VariableSpec;
}

export function nf4Variables(name: string, shape: Shape): Nf4Variables {
  const blocks = Math.ceil(elementCount(shape) / CODE_BLOCK);
  const scaleBlocks = Math.ceil(blocks / SCALE_RANGE);
  return {
    codes: { name: `${name}.nf4`, shape: [(blocks * CODE_BLOCK) / 2], dtype: 'uint8' },
    scales: { name: `${name}.scales`, shape: [scaleBlocks, SCALE_RANGE], dtype: 'uint8' },
    low: { name: `${name}.scales.low`, shape: [scaleBlocks, 1], dtype: 'float32' },
    step: { name: `${name}.scales.step`, shape: [scaleBlocks, 1], dtype: 'float32' },
  };
}

/** Returns the codes of a weight's values, and the largest magnitude of each block. */
export function quantizeNf4(values: Float32Array): { readonly codes: Uint8Array; readonly scales: Float32Array } {
  const blocks = Math.ceil(values.length / CODE_BLOCK);
  const scales = new Float32Array(blocks);
  const codes = new Uint8Array((blocks * CODE_BLOCK) / 2);
  const whole = Math.floor(values.length / CODE_BLOCK);
  quantizeBlocks(values, whole, { codes, scales });
  if (whole < blocks) {
    // The last block is padded with zeros.
    const last = new Float32Array(CODE_BLOCK);
    last.set(values.subarray(whole * CODE_BLOCK));
    quantizeBlocks(last, 1, { codes: codes.subarray((whole * CODE_BLOCK) / 2), scales: scales.subarray(whole) });
  }
  return { codes, scales };
}

function quantizeBlocks(
  values: Float32Array,
  blocks: number,
  { codes, scales }: { readonly codes: Uint8Array; readonly scales: Float32Array },
): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const largestWord = new Uint32Array(scales.buffer, scales.byteOffset, scales.length);
  for (let block = 0; block < blocks; block++) {
    const [begin, end] = [block * CODE_BLOCK, (block + 1) * CODE_BLOCK];
    // Without sign bits, floating-point numbers sort like their bit patterns, and NaN comes last.
    let largest = 0;
    for (let i = begin; i < end; i++) {
      const magnitude = (words[i] as number) & 0x7fffffff;
      if (magnitude > largest) largest = magnitude;
    }
    largestWord[block] = largest;
    const scale = scales[block] as number;
    const inverse = scale > 0 ? 1 / scale : 0;
    for (let i = begin; i < end; i += 2) {
      const [x, y] = [(values[i] as number) * inverse, (values[i + 1] as number) * inverse];
      const [first, second] = [CODES[partOf(x)] as number, CODES[partOf(y)] as number];
      codes[i >> 1] = (first | second) < ON_BORDER ? (first << 4) | second : (decided(first, x) << 4) | decided(second, y);
    }
  }
}

/** The number of borders below x, given the code of its part; 0 for NaN, since no border is below it. */
function decided(code: number, x: number): number {
  if (code < ON_BORDER) return code;
  const before = code - ON_BORDER;
  return x > (NF4_BORDERS[before] as number) ? before + 1 : before;
}

/** Returns the same codes, with scales in 8 bits. */
export function quantizeTwice(values: Float32Array): BlockCodes {
  const { codes, scales } = quantizeNf4(values);
  const ranges = Math.ceil(scales.length / SCALE_RANGE);
  const [low, step] = [new Float32Array(ranges), new Float32Array(ranges)];
  const bytes = new Uint8Array(ranges * SCALE_RANGE);
  for (let range = 0; range < ranges; range++) {
    const [begin, end] = [range * SCALE_RANGE, Math.min(scales.length, (range + 1) * SCALE_RANGE)];
    let [smallest, largest] = [Number.POSITIVE_INFINITY, 0];
    for (let i = begin; i < end; i++) {
      smallest = Math.min(smallest, scales[i] as number);
      largest = Math.max(largest, scales[i] as number);
    }
    const unit = (largest - smallest) / 255;
    low[range] = smallest;
    step[range] = unit;
    if (unit > 0) for (let i = begin; i < end; i++) bytes[i] = Math.round(((scales[i] as number) - smallest) / unit);
  }
  return { codes, scales: bytes, low, step };
}

/** Yields the values of the variables of one weight. */
export async function* encodeNf4(
  { name, shape }: Pick<VariableSpec, 'name' | 'shape'>,
  values: StoredValues,
  coder: WeightCoder,
): AsyncGenerator<VariableData> {
  const variables = nf4Variables(name, shape);
  const { codes, scales, low, step } = await coder.encodeBlocks(values, NF4_BORDERS);
  yield { name: variables.codes.name, data: codes };
  yield { name: variables.scales.name, data: scales };
  yield { name: variables.low.name, data: low };
  yield { name: variables.step.name, data: step };
}

/** [256, 2]: both values of each byte, so that one lookup decodes a byte. */
const PAIRS = Float32Array.from({ length: 512 }, (_, i) => NF4_LEVELS[i % 2 === 0 ? i >> 5 : (i >> 1) & 15] as number);

/** The dequantized weight in float32. */
export function readNf4(graph: Graph, name: string, shape: Shape): Node {
  const { codes, scales, low, step } = nf4Variables(name, shape);
  const count = elementCount(shape);
  const blocks = Math.ceil(count / CODE_BLOCK);
  const pairs = graph.gather(graph.constant(PAIRS, [256, 2], 'float32'), graph.cast(graph.read(codes), 'int32'));
  const all = graph.add(graph.mul(graph.cast(graph.read(scales), 'float32'), graph.read(step)), graph.read(low));
  const own = graph.slice(graph.reshape(all, [elementCount(all.shape)]), [0], [blocks]);
  const values = graph.mul(graph.reshape(pairs, [blocks, CODE_BLOCK]), graph.reshape(own, [blocks, 1]));
  return graph.reshape(graph.slice(graph.reshape(values, [blocks * CODE_BLOCK]), [0], [count]), shape);
}
