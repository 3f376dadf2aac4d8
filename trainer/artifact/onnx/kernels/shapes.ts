/** Operations that move elements without computing. */
import { elementAt } from '../../../narrow.ts';
import type { LoweringTable } from '../lowering.ts';
import { one } from '../lowering.ts';

export const shapeLowerings: Pick<LoweringTable, 'reshape' | 'transpose' | 'slice' | 'pad' | 'concat' | 'broadcast'> = {
  reshape: ({ emitter, inputs, shape }) => emitter.reshape(one(inputs), shape),
  transpose: ({ emitter, inputs, attrs }) => emitter.transpose(one(inputs), attrs.perm),
  slice: ({ emitter, inputs, shape, sizes }) =>
    emitter.slice(
      elementAt(inputs, 0),
      sizes(node => node.attrs.begin),
      shape,
    ),
  pad: ({ emitter, inputs, attrs, sizes }) => {
    const pads = emitter.sizeVector(sizes(node => [...node.attrs.before, ...node.attrs.after]));
    return emitter.emit('Pad', [one(inputs), pads, emitter.scalar(attrs.value, elementAt(inputs, 0).dtype)]);
  },
  concat: ({ emitter, inputs, attrs: { axis } }) =>
    emitter.emit(
      'Concat',
      inputs.map(({ name }) => name),
      { axis },
    ),
  broadcast: ({ emitter, inputs, shape }) => emitter.emit('Expand', [one(inputs), emitter.sizeVector(shape)]),
};
