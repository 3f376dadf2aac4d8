/** Finds weights stored as 4-bit codes: the nodes between codes and values become one lookup per code and one scale per block. */
import { isOp, type Node } from '../graph.ts';
import { elementCount, type HostArray } from '../types.ts';

/** The values of a node: `levels[code] · scale of the block`, rounded to the node's element type. */
export interface Unpacking {
  /** uint8 [elements / 2]: two codes per byte, the first in the upper half. */
  readonly codes: Node;
  /** float32, one per block. */
  readonly scales: Node;
  /** float32 [16]. */
  readonly levels: Float32Array;
  /** Number of elements that share a scale. */
  readonly block: number;
}

/** Number of codes that the kernel processes at a time. */
const CODES_AT_A_TIME = 32;

const known = new WeakMap<Node, Unpacking | 'none'>();

/**
 * Returns how a node's values are computed from 4-bit codes; undefined for other nodes. The form is that of `readNf4`: the two values of
 * each byte are gathered from a table [256, 2], multiplied as [blocks, block] by [blocks, 1], then reshaped and possibly narrowed.
 */
export function unpackingOf(node: Node): Unpacking | undefined {
  if (node.op !== 'mul' && node.op !== 'reshape' && node.op !== 'cast') return undefined;
  let found = known.get(node);
  if (found === undefined) {
    found = find(node) ?? 'none';
    known.set(node, found);
  }
  return found === 'none' ? undefined : found;
}

function find(node: Node): Unpacking | undefined {
  if (node.op === 'mul') return ofProduct(node);
  const [input] = node.inputs;
  if (input?.dtype !== 'float32' || (node.op === 'cast' && node.dtype !== 'bfloat16')) return undefined;
  return input.op === 'mul' || (node.op === 'cast' && input.op === 'reshape') ? unpackingOf(input) : undefined;
}

function ofProduct({ inputs: [numbers, scales], shape }: Node): Unpacking | undefined {
  const [blocks = 0, block = 0] = shape;
  if (numbers?.op !== 'reshape' || shape.length !== 2 || block % CODES_AT_A_TIME !== 0) return undefined;
  if (!scales || scales.shape.join() !== `${blocks},1` || scales.dtype !== 'float32') return undefined;
  const [pairs] = numbers.inputs;
  if (!pairs || !isOp(pairs, 'gather') || pairs.attrs.axis !== 0 || elementCount(pairs.shape) !== blocks * block) return undefined;
  const [table, indices] = pairs.inputs;
  const codes = indices?.op === 'cast' ? indices.inputs[0] : undefined;
  if (codes?.dtype !== 'uint8' || !table || !isOp(table, 'constant') || table.shape.join() !== '256,2') return undefined;
  const levels = levelsOf(table.attrs.value);
  return levels && { codes, scales, levels, block };
}

const knownLevels = new WeakMap<HostArray, Float32Array | 'none'>();

/** Returns the levels of a table that holds the two values of each byte; undefined for another table. */
function levelsOf(table: HostArray): Float32Array | undefined {
  let found = knownLevels.get(table);
  if (found === undefined) {
    const levels = Float32Array.from({ length: 16 }, (_, code) => Number(table[2 * code + 1]));
    const isTable =
      table instanceof Float32Array && table.every((value, i) => Object.is(value, levels[i % 2 === 0 ? i >> 5 : (i >> 1) & 15]));
    found = isTable ? levels : 'none';
    knownLevels.set(table, found);
  }
  return found === 'none' ? undefined : found;
}
