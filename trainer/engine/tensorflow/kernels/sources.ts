/** Feeds, constants, variables and random numbers. */
import type { LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

export const sourceLowerings = {
  // Feeds are made by lower.ts, which also notes their names.
  feed: () => undefined,
  constant: ({ emitter, attrs }) => emitter.constant(attrs.value, attrs.shape, attrs.dtype),
  read: ({ emitter, node, attrs, handle }) => emitter.emit('ReadVariableOp', [handle(attrs.variable)], { dtype: attr.type(node.dtype) }),
  randomUniform: ({ emitter, inputs: [seed = ''], attrs }) =>
    emitter.emit('StatelessRandomUniform', [emitter.ints(attrs.shape), seed], {
      dtype: attr.type('float32'),
      T: attr.type('int32'),
      Tseed: attr.type('int32'),
    }),
} satisfies Partial<LoweringTable>;
