/** Which operations a fused step can take in. */
import type { Node } from '../graph.ts';
import { inputsOf, isOp } from '../node-store.ts';
import { type DType, elementCount } from '../types.ts';
import { isElementwise, ROW_PROGRAM_LIMITS } from './row-program.ts';
import { unpackingOf } from './unpacking.ts';

const COMPUTED: ReadonlySet<DType> = new Set<DType>(['float32', 'bfloat16', 'bool']);
/** Whole numbers that a float32 holds exactly: they can be read, not made. */
const READABLE: ReadonlySet<DType> = new Set<DType>([...COMPUTED, 'uint8', 'int8']);

/** Element types that a cast makes; whole numbers become bytes, too: the codes of moments in 8 bits. */
const CAST_TO: ReadonlySet<DType> = new Set<DType>(['float32', 'bfloat16', 'uint8']);

/** Moves elements and computes nothing. */
export const isView = ({ op }: Node): boolean =>
  op === 'reshape' || op === 'transpose' || op === 'slice' || op === 'pad' || op === 'broadcast' || op === 'concat';

/** A sum or maximum along the last axis, or of all that there is. */
export function isReduction(node: Node): node is Node<'sum' | 'max'> {
  if (!isOp(node, 'sum') && !isOp(node, 'max')) return false;
  const { axes } = node.attrs;
  const { shape } = inputsOf(node, 1)[0];
  if (axes.length === 1 && axes[0] === shape.length - 1) return true;
  return axes.length === shape.length && elementCount(shape) <= ROW_PROGRAM_LIMITS.reducedColumns;
}

const known = new WeakMap<Node, boolean>();

/** Can this node be computed inside a fused step, as far as it alone is looked at? */
export function isFusible(node: Node): boolean {
  let found = known.get(node);
  if (found === undefined) {
    found = judge(node);
    known.set(node, found);
  }
  return found;
}

function judge(node: Node): boolean {
  if (node.shape.includes(0)) return false;
  // A step of its own looks the codes up.
  if (unpackingOf(node)) return false;
  if (node.op === 'cast') return CAST_TO.has(node.dtype) && READABLE.has(inputsOf(node, 1)[0].dtype);
  if (!COMPUTED.has(node.dtype)) return false;
  if (node.inputs.some(input => !COMPUTED.has(input.dtype))) return false;
  if (node.op === 'concat') return hasEqualParts(node);
  if (isOp(node, 'pad')) return isLeadingPad(node);
  return isElementwise(node.op) || isView(node) || isReduction(node) || node.op === 'softmax';
}

/** A concat of more parts is left to the engine. */
const MOST_PARTS = 8;

const hasEqualParts = ({ inputs: [first, ...others] }: Node): boolean =>
  first !== undefined && others.length < MOST_PARTS && others.every(({ shape }) => shape.join() === first.shape.join());

/** Rows are left out as a whole, so columns cannot be padded. */
const isLeadingPad = ({ attrs: { before, after } }: Node<'pad'>): boolean => before.at(-1) === 0 && after.at(-1) === 0;
