/** Products grouped by expert: the kernels of `native/kernels/expert-product.cc`, or one TensorFlow product per expert. */

import type { Node } from '../../../graph/node-store.ts';
import type { DType } from '../../../graph/types.ts';
import { dimensions } from '../../../graph/types.ts';
import { atLeast, elementAt } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { inputAt, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

/** Divides a tensor along its first axis into one part per expert. */
function partition(emitter: Emitter, data: string, ids: string, experts: number, dtype: DType): string[] {
  const name = emitter.emit('DynamicPartition', [data, ids], { num_partitions: attr.int(experts), T: attr.type(dtype) });
  return Array.from({ length: experts }, (_, e) => (e === 0 ? name : `${name}:${e}`));
}

/** Returns the integers from 0 on, each `repeats` times. */
const counted = (emitter: Emitter, count: number, repeats = 1): string =>
  emitter.constant(
    Int32Array.from({ length: count }, (_, i) => Math.floor(i / repeats)),
    [count],
    'int32',
  );

const pick = (emitter: Emitter, data: string, at: string, axis: number, dtype: DType): string =>
  emitter.emit('GatherV2', [data, at, emitter.int(axis)], {
    ...{ Tparams: attr.type(dtype), Tindices: attr.type('int32'), Taxis: attr.type('int32'), batch_dims: attr.int(0) },
  });

const stitch = (emitter: Emitter, places: readonly string[], parts: readonly string[], dtype: DType): string =>
  emitter.emit('DynamicStitch', [...places, ...parts], { N: attr.int(parts.length), T: attr.type(dtype) });

/** Returns the rows of x that each expert reads. */
function rowsByExpert(emitter: Emitter, x: string, { shape, dtype }: Node, ids: string, assignments: number, experts: number): string[] {
  const places = partition(emitter, counted(emitter, assignments, assignments / (shape[0] as number)), ids, experts, 'int32');
  return places.map(at => pick(emitter, x, at, 0, dtype));
}

export const expertLowerings = {
  expertProduct: ({ emitter, inputs, node, attrs: { experts, transposed }, hasProducts }) => {
    const [x, w, ids] = atLeast(inputs, 3);
    const { dtype } = node;
    if (hasProducts && dtype === 'float32')
      return emitter.emit('RowtuneExpertProduct', [x, w, ids], { experts: attr.int(experts), flag: attr.bool(transposed) });
    const [rows, width] = dimensions(inputAt({ node }, 1).shape, 2);
    const own = rowsByExpert(emitter, x, inputAt({ node }, 0), ids, node.shape[0] as number, experts);
    const products = own.map((part, e) => {
      const size = [rows / experts, width];
      const matrix = emitter.emit('Slice', [w, emitter.ints([(e * rows) / experts, 0]), emitter.ints(size)], {
        T: attr.type(dtype),
        Index: attr.type('int32'),
      });
      return emitter.emit('MatMul', [part, matrix], {
        T: attr.type(dtype),
        transpose_a: attr.bool(false),
        transpose_b: attr.bool(!transposed),
      });
    });
    return stitch(emitter, partition(emitter, counted(emitter, node.shape[0] as number), ids, experts, 'int32'), products, dtype);
  },
  expertGradient: ({ emitter, inputs, node, attrs: { experts }, hasProducts }) => {
    const [a, b, ids] = atLeast(inputs, 3);
    const rows = inputs[3];
    const { dtype } = node;
    if (hasProducts && dtype === 'float32')
      return emitter.emit('RowtuneExpertGradient', [a, b, ids, rows ?? emitter.ints([])], {
        experts: attr.int(experts),
        flag: attr.bool(rows === undefined),
      });
    const assignments = inputAt({ node }, 2).shape[0] as number;
    const out = inputAt({ node }, 0).shape[1] as number;
    const lefts = rowsByExpert(emitter, a, inputAt({ node }, 0), ids, assignments, experts);
    const rights = rowsByExpert(emitter, b, inputAt({ node }, 1), ids, assignments, experts);
    const product = (left: string, right: string): string =>
      emitter.emit('MatMul', [left, right], { T: attr.type(dtype), transpose_a: attr.bool(true), transpose_b: attr.bool(false) });
    if (rows === undefined) {
      const parts = lefts.map((left, e) => product(left, elementAt(rights, e)));
      if (parts.length === 1) return parts[0];
      return emitter.emit('ConcatV2', [...parts, emitter.int(0)], { N: attr.int(experts), T: attr.type(dtype), Tidx: attr.type('int32') });
    }
    const int = { T: attr.type('int32') };
    const owners = emitter.emit('FloorDiv', [rows, emitter.int(out)], int);
    const columns = partition(emitter, emitter.emit('FloorMod', [rows, emitter.int(out)], int), owners, experts, 'int32');
    const places = partition(emitter, counted(emitter, node.shape[0] as number), owners, experts, 'int32');
    const parts = lefts.map((left, e) => product(pick(emitter, left, elementAt(columns, e), 1, dtype), elementAt(rights, e)));
    return stitch(emitter, places, parts, dtype);
  },
} satisfies Partial<LoweringTable>;
