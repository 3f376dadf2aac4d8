/**
 * Products grouped by expert. Shapes are static here, so the rows of an expert cannot be taken apart: every row is multiplied by every expert's
 * matrix, and each assignment takes its own product. That is as many times the work as there are experts for each one that is chosen.
 */
import { dimensions } from '../../../graph/types.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { type LoweringTable, three } from '../lowering.ts';

/** The rows of x [m, width] that n assignments read: each row n / m times in a row. */
function repeated(emitter: Emitter, x: Value, assignments: number): Value {
  const [rows, width] = dimensions(x.shape, 2);
  if (rows === assignments) return x;
  return emitter.reshape(emitter.spread(x, [rows, assignments / rows, width], [0, 2]), [assignments, width]);
}

/** Which expert each assignment has: [n, experts]. */
function chosen(emitter: Emitter, ids: Value, experts: number): Value {
  const shape = [ids.shape[0] as number, experts];
  return emitter.compare('EQ', emitter.spread(ids, shape, [0]), emitter.iota(shape, 1, 'i32'));
}

const quotient = (emitter: Emitter, x: Value, by: number): Value => emitter.zip('divide', x, emitter.fill(by, 'i32'));

export const expertLowerings: Pick<LoweringTable, 'expertProduct' | 'expertGradient'> = {
  expertProduct: ({ emitter, inputs, attrs: { experts, transposed } }) => {
    const [x, w, ids] = three(inputs);
    const [stacked, width] = dimensions(w.shape, 2);
    const assignments = ids.shape[0] as number;
    const rows = x.shape[0] as number;
    const matrices = emitter.reshape(w, [experts, stacked / experts, width]);
    // [rows, experts, to]
    const all = emitter.dot(x, matrices, { batch: [], contracted: [1, transposed ? 1 : 2] });
    const to = all.shape[2] as number;
    const row = quotient(emitter, emitter.iota([assignments], 0, 'i32'), assignments / rows);
    const place = emitter.zip('add', emitter.zip('multiply', row, emitter.fill(experts, 'i32')), ids);
    return emitter.gather(emitter.reshape(all, [rows * experts, to]), place, 0);
  },
  expertGradient: ({ emitter, inputs, attrs: { experts } }) => {
    const [a, b, ids] = three(inputs);
    const rows = inputs[3];
    const assignments = ids.shape[0] as number;
    const [left, right] = [repeated(emitter, a, assignments), repeated(emitter, b, assignments)];
    const out = left.shape[1] as number;
    const zero = emitter.fill(0, left.type);
    if (rows) {
      const expert = quotient(emitter, rows, out);
      const column = emitter.zip('subtract', rows, emitter.zip('multiply', expert, emitter.fill(out, 'i32')));
      const shape = [assignments, rows.shape[0] as number];
      const own = emitter.compare('EQ', emitter.spread(ids, shape, [0]), emitter.spread(expert, shape, [1]));
      return emitter.dot(emitter.select(own, emitter.gather(left, column, 1), zero), right, { batch: [], contracted: [0, 0] });
    }
    const shape = [assignments, experts, out];
    const own = emitter.spread(chosen(emitter, ids, experts), shape, [0, 1]);
    const parts = emitter.select(own, emitter.spread(left, shape, [0, 2]), zero);
    const sums = emitter.dot(emitter.reshape(parts, [assignments, experts * out]), right, { batch: [], contracted: [0, 0] });
    return sums;
  },
};
