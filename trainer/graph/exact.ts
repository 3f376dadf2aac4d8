/** Finds the results that an engine has to round because it computes in 32 bits and stores 16. */
import type { OpName } from './attributes.ts';
import type { Node } from './graph.ts';

/** Operations that return input values unchanged, and the cast, which does its own rounding. */
const EXACT: ReadonlySet<OpName> = new Set<OpName>([
  'feed',
  'constant',
  'read',
  'cast',
  'neg',
  'abs',
  'sign',
  'floor',
  'relu',
  'maximum',
  'minimum',
  'select',
  'max',
  'reshape',
  'transpose',
  'slice',
  'concat',
  'broadcast',
  'gather',
]);

/** Returns true for a bfloat16 result that still has to be rounded to bfloat16. */
export const roundsResult = ({ op, dtype }: Node): boolean => dtype === 'bfloat16' && !EXACT.has(op);
