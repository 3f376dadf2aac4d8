/** Decides which operations a fused step can contain. */
import { isStartOfVariable } from '../alias.ts';
import type { Node } from '../graph.ts';
import { inputsOf, isOp } from '../node-store.ts';
import { type DType, elementCount } from '../types.ts';
import { isElementwise, ROW_PROGRAM_LIMITS } from './row-program.ts';
import { unpackingOf } from './unpacking.ts';

const COMPUTED: ReadonlySet<DType> = new Set<DType>(['float32', 'bfloat16', 'bool']);
/** Element types that a program can read but not produce: integers that float32 represents exactly. */
const READABLE: ReadonlySet<DType> = new Set<DType>([...COMPUTED, 'uint8', 'int8']);

/** Element types that a cast can produce; uint8 holds the codes of 8-bit moments. */
const CAST_TO: ReadonlySet<DType> = new Set<DType>(['float32', 'bfloat16', 'uint8']);

/** Returns true for an operation that only moves elements. */
export const isView = ({ op }: Node): boolean =>
  op === 'reshape' || op === 'transpose' || op === 'slice' || op === 'pad' || op === 'broadcast' || op === 'concat';

/** Returns true for a sum or maximum along the last axis, or over the whole tensor. */
export function isReduction(node: Node): node is Node<'sum' | 'max'> {
  if (!isOp(node, 'sum') && !isOp(node, 'max')) return false;
  const { axes } = node.attrs;
  const { shape } = inputsOf(node, 1)[0];
  if (axes.length === 1 && axes[0] === shape.length - 1) return true;
  return axes.length === shape.length && elementCount(shape) <= ROW_PROGRAM_LIMITS.reducedColumns;
}

const known = new WeakMap<Node, boolean>();

/** Returns true if this node, considered on its own, can be computed inside a fused step. */
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
  // A separate step looks the codes up.
  if (unpackingOf(node)) return false;
  // It costs nothing; a fused step would copy it.
  if (isStartOfVariable(node)) return false;
  if (node.op === 'cast') return CAST_TO.has(node.dtype) && READABLE.has(inputsOf(node, 1)[0].dtype);
  if (!COMPUTED.has(node.dtype)) return false;
  if (node.inputs.some(input => !COMPUTED.has(input.dtype))) return false;
  if (node.op === 'concat') return hasEqualParts(node);
  if (isOp(node, 'pad')) return isLeadingPad(node);
  return isElementwise(node.op) || isView(node) || isReduction(node) || node.op === 'softmax';
}

/** Concats with more parts are left to the engine. */
const MAX_PARTS = 8;

const hasEqualParts = ({ inputs: [first, ...others] }: Node): boolean =>
  first !== undefined && others.length < MAX_PARTS && others.every(({ shape }) => shape.join() === first.shape.join());

/** Returns true unless columns are padded: the kernel can only skip whole rows. */
const isLeadingPad = ({ attrs: { before, after } }: Node<'pad'>): boolean => before.at(-1) === 0 && after.at(-1) === 0;
