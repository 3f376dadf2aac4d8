/** Weights in the forms in which they are held, for an engine without native code for them: in JavaScript, on one core. */
import { fromBfloat16 } from '../graph/types.ts';
import type { StoredValues, WeightCoder } from '../graph/weight-coder.ts';
import { quantizeInt8 } from './int8.ts';
import { quantizeTwice } from './nf4.ts';

const wide = (values: StoredValues): Float32Array => (values instanceof Float32Array ? values : fromBfloat16(values));

export const javascriptCoder: Required<WeightCoder> = {
  widen: async bits => fromBfloat16(bits),
  encodeRows: async (values, rows) => quantizeInt8(wide(values), rows),
  // The borders are those that it has a table of.
  encodeBlocks: async values => quantizeTwice(wide(values)),
};
