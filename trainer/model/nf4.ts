/**
 * 4-bit NormalFloat with double quantization (Dettmers et al. 2023, QLoRA): blocks of 64 numbers share a scale, and 256 scales share a range
 * in which each is held in 8 bits.
 */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { elementCount, type Shape } from '../graph/types.ts';

/** Quantiles of a normal distribution scaled to [−1, 1], 0 among them: the paper's appendix E. */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
];
const NF4_BLOCK = 64;
/** Scales that share a range. */
const SCALE_BLOCK = 256;

/** Halfway between neighbors: a number takes the level of the interval it lies in. */
const BORDERS = NF4_LEVELS.slice(1).map((level, i) => (level + (NF4_LEVELS[i] as number)) / 2);

export interface Nf4Variables {
  /** uint8 [blocks · 32]: two codes a byte, the first in the upper half, as bitsandbytes packs them. */
  readonly codes: VariableSpec;
  /** uint8 [scaleBlocks, 256]. */
  readonly scales: VariableSpec;
  /** float32 [scaleBlocks, 1] each: a scale is low + code · step. */
  readonly low: VariableSpec;
  readonly step: VariableSpec;
}

export function nf4Variables(name: string, shape: Shape): Nf4Variables {
  const blocks = Math.ceil(elementCount(shape) / NF4_BLOCK);
  const scaleBlocks = Math.ceil(blocks / SCALE_BLOCK);
  return {
    codes: { name: `${name}.nf4`, shape: [(blocks * NF4_BLOCK) / 2], dtype: 'uint8' },
    scales: { name: `${name}.scales`, shape: [scaleBlocks, SCALE_BLOCK], dtype: 'uint8' },
    low: { name: `${name}.scales.low`, shape: [scaleBlocks, 1], dtype: 'float32' },
    step: { name: `${name}.scales.step`, shape: [scaleBlocks, 1], dtype: 'float32' },
  };
}

/** Codes of the numbers of a weight, and the largest magnitude of each block. */
export function quantizeNf4(values: Float32Array): { readonly codes: Uint8Array; readonly scales: Float32Array } {
  const blocks = Math.ceil(values.length / NF4_BLOCK);
  const scales = new Float32Array(blocks);
  // What fills the last block up has the code of 0.
  const codes = new Uint8Array((blocks * NF4_BLOCK) / 2).fill(ZERO_CODE * 17);
  for (let block = 0; block < blocks; block++) {
    const [begin, end] = [block * NF4_BLOCK, Math.min(values.length, (block + 1) * NF4_BLOCK)];
    let largest = 0;
    for (let i = begin; i < end; i++) largest = Math.max(largest, Math.abs(values[i] as number));
    scales[block] = largest;
    const inverse = largest > 0 ? 1 / largest : 0;
    for (let i = begin; i < end; i++) {
      const code = codeOf((values[i] as number) * inverse);
      const byte = codes[i >> 1] as number;
      codes[i >> 1] = i % 2 === 0 ? (byte & 0x0f) | (code << 4) : (byte & 0xf0) | code;
    }
  }
  return { codes, scales };
}

const ZERO_CODE = NF4_LEVELS.indexOf(0);

function codeOf(x: number): number {
  let code = 0;
  for (let half = 8; half > 0; half >>= 1) if (x > (BORDERS[code + half - 1] as number)) code += half;
  return code;
}

/** The values of the variables of one weight. */
export function* encodeNf4(name: string, shape: Shape, values: Float32Array): Generator<VariableData> {
  const variables = nf4Variables(name, shape);
  const { codes, scales } = quantizeNf4(values);
  const ranges = variables.low.shape[0] as number;
  const [low, step] = [new Float32Array(ranges), new Float32Array(ranges)];
  const bytes = new Uint8Array(ranges * SCALE_BLOCK);
  for (let range = 0; range < ranges; range++) {
    const part = scales.subarray(range * SCALE_BLOCK, (range + 1) * SCALE_BLOCK);
    const smallest = part.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    const unit = (part.reduce((a, b) => Math.max(a, b), 0) - smallest) / 255;
    low[range] = smallest;
    step[range] = unit;
    part.forEach((scale, i) => {
      bytes[range * SCALE_BLOCK + i] = unit > 0 ? Math.round((scale - smallest) / unit) : 0;
    });
  }
  yield { name: variables.codes.name, data: codes };
  yield { name: variables.scales.name, data: bytes };
  yield { name: variables.low.name, data: low };
  yield { name: variables.step.name, data: step };
}

/** [256, 2]: both numbers of a byte, found in one step. */
const PAIRS = Float32Array.from({ length: 512 }, (_, i) => NF4_LEVELS[i % 2 === 0 ? i >> 5 : (i >> 1) & 15] as number);

/** The weight in float32. */
export function readNf4(graph: Graph, name: string, shape: Shape): Node {
  const { codes, scales, low, step } = nf4Variables(name, shape);
  const count = elementCount(shape);
  const blocks = Math.ceil(count / NF4_BLOCK);
  const pairs = graph.gather(graph.constant(PAIRS, [256, 2], 'float32'), graph.cast(graph.read(codes), 'int32'));
  const all = graph.add(graph.mul(graph.cast(graph.read(scales), 'float32'), graph.read(step)), graph.read(low));
  const own = graph.slice(graph.reshape(all, [elementCount(all.shape)]), [0], [blocks]);
  const values = graph.mul(graph.reshape(pairs, [blocks, NF4_BLOCK]), graph.reshape(own, [blocks, 1]));
  return graph.reshape(graph.slice(graph.reshape(values, [blocks * NF4_BLOCK]), [0], [count]), shape);
}
