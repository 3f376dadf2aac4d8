/** Emits a weight of 4-bit codes for TensorFlow: one node of the operation that `native/operations/unpack-operation.cc` registers. */
import type { Unpacking } from '../../graph/fusion/unpacking.ts';
import type { TensorSpec } from '../../graph/types.ts';
import type { Emitter } from './emitter.ts';
import { attr } from './node-def.ts';

/** Emits the unpacking. @param inputs the codes and the scales. @returns the name of the output */
export const emitUnpacked = (
  emitter: Emitter,
  { levels, block }: Pick<Unpacking, 'levels' | 'block'>,
  { shape, dtype }: TensorSpec,
  inputs: readonly string[],
): string =>
  emitter.emit('RowtuneUnpack', [...inputs, emitter.constant(levels, [levels.length], 'float32')], {
    T: attr.type(dtype),
    block: attr.int(block),
    shape: attr.ints(shape),
  });
