/** Emits a product of a few rows: one node of the operation that `native/operations/few-rows-operation.cc` registers. */
import type { FewRows } from '../../graph/fusion/few-rows.ts';
import type { TensorSpec } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import { attr } from './node-def.ts';

/** Emits the product. @param inputs in the order of `fewRowsReads` @returns the name of the output */
export function emitFewRows(
  emitter: Emitter,
  { elements, unpacking }: FewRows,
  { shape, dtype }: TensorSpec,
  inputs: readonly string[],
): string {
  const levels = unpacking ? [emitter.constant(unpacking.levels, [unpacking.levels.length], 'float32')] : [];
  return emitter.emit('RowtuneFewRows', [...inputs, ...levels], {
    T: attr.type(dtype),
    W: attr.type(elements.dtype),
    N: attr.int(unpacking ? 2 : 0),
    block: attr.int(unpacking?.block ?? 0),
    out: attr.int(elementAt(shape, 1)),
  });
}
