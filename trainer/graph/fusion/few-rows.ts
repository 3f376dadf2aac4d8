/** Finds products of a few rows with a weight that can be read in its stored form, so that each element of it is read once. */
import { elementAt } from '../../narrow.ts';
import { aliasedRead } from '../alias.ts';
import { isOp, type Node } from '../graph.ts';
import { elementCount } from '../types.ts';
import { type Unpacking, unpackingOf } from './unpacking.ts';

/** x [rows, in] · Wᵀ, where W [out, in] is a variable, or unpacked from one. */
export interface FewRows {
  /** float32 or bfloat16. */
  readonly x: Node;
  /** The variable's value: float32, bfloat16 or int8 [out, in], or the bytes of 4-bit codes. */
  readonly elements: Node;
  /** How 4-bit codes are unpacked. */
  readonly unpacking: Unpacking | undefined;
}

/** The kernel's limits: with more rows, unpacking the weight first is faster; columns and blocks are multiples of a vector. */
const MOST_ROWS = 8;
const LANES = 8;
/** A smaller weight is in the cache, and TensorFlow's own product starts faster. */
const LEAST_ELEMENTS = 32_768;

/** Returns the parts of such a product; undefined for other nodes. */
export function fewRowsOf(node: Node): FewRows | undefined {
  if (!isOp(node, 'matmul') || node.attrs.transposeA || !node.attrs.transposeB || node.shape.length !== 2) return undefined;
  const [x, weight] = [elementAt(node.inputs, 0), elementAt(node.inputs, 1)];
  const columns = elementAt(x.shape, 1);
  if (elementAt(x.shape, 0) > MOST_ROWS || columns % LANES !== 0 || elementCount(weight.shape) < LEAST_ELEMENTS) return undefined;
  const unpacking = unpackingOf(weight);
  if (unpacking) return columns % unpacking.block === 0 ? { x, elements: unpacking.codes, unpacking } : undefined;
  const [widened] = weight.op === 'cast' ? weight.inputs : [];
  const elements = widened?.dtype === 'int8' ? widened : weight;
  return aliasedRead(elements) ? { x, elements, unpacking } : undefined;
}

/** Returns what the step of such a product reads, in the order of the kernel. */
export const fewRowsReads = ({ x, elements, unpacking }: FewRows): Node[] => [x, elements, ...(unpacking ? [unpacking.scales] : [])];
