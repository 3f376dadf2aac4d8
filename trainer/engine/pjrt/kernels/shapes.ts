/** Operations that move elements without computing. */
import type { LoweringTable } from '../lowering.ts';
import { one } from '../lowering.ts';

export const shapeLowerings: Pick<LoweringTable, 'reshape' | 'transpose' | 'slice' | 'pad' | 'concat' | 'broadcast'> = {
  reshape: ({ emitter, inputs, attrs }) => emitter.reshape(one(inputs), attrs.shape),
  transpose: ({ emitter, inputs, attrs }) => emitter.transpose(one(inputs), attrs.perm),
  slice: ({ emitter, inputs, attrs }) => emitter.slice(one(inputs), attrs.begin, attrs.size),
  pad: ({ emitter, inputs, attrs }) => {
    const x = one(inputs);
    return emitter.pad(x, attrs.before, attrs.after, emitter.fill(attrs.value, x.type));
  },
  concat: ({ emitter, inputs, attrs }) => emitter.concat(inputs, attrs.axis),
  broadcast: ({ emitter, inputs, attrs }) => emitter.stretch(one(inputs), attrs.shape),
};
