/** Which results an engine that computes in 32 bits has to round, where 16 are stored. */
import type { OpName } from './attributes.ts';
import type { Node } from './graph.ts';

/** Operations that give back numbers they were given, and the cast, which rounds by itself. */
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

/** A bfloat16 result that is not a bfloat16 number yet. */
export const roundsResult = ({ op, dtype }: Node): boolean => dtype === 'bfloat16' && !EXACT.has(op);
