/** Encodes weights in JavaScript, on one core, for an engine without native code for it. */
import { fromBfloat16 } from '../graph/types.ts';
import type { StoredValues, WeightCoder } from '../graph/weight-coder.ts';
import { quantizeInt8 } from './int8.ts';
import { quantizeTwice } from './nf4.ts';

const wide = (values: StoredValues): Float32Array => (values instanceof Float32Array ? values : fromBfloat16(values));

export const javascriptCoder: Required<WeightCoder> = {
  widen: async bits => fromBfloat16(bits),
  encodeRows: async (values, rows) => quantizeInt8(wide(values), rows),
  // Uses its own table of borders.
  encodeBlocks: async values => quantizeTwice(wide(values)),
};
