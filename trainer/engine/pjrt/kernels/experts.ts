/** Products grouped by expert: a loop over blocks of assignments to the same expert, several blocks at a time. */
import { blocksTogether } from '../../../graph/expert-blocks.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { type LoweringTable, one, three, two } from '../lowering.ts';
import { groupByExpert, quotient, times } from './expert-blocks.ts';

/** Returns the rows of x [m, width] that n assignments read: each row is repeated n / m times. */
function repeated(emitter: Emitter, x: Value, assignments: number): Value {
  const [rows, width] = dimensions(x.shape, 2);
  if (rows === assignments) return x;
  return emitter.reshape(emitter.spread(x, [rows, assignments / rows, width], [0, 2]), [assignments, width]);
}

/**
 * Returns the zeros that a loop writes its result into. Without an input to wait for, XLA would allocate those of all loops when the
 * program starts.
 */
const zerosBehind = (emitter: Emitter, input: Value, type: Value['type'], shape: readonly number[]): Value =>
  emitter.after(emitter.fill(0, type, shape), [input]);

/** Returns the rows of x [m, width] for the assignments in a block; empty slots have zeros, or the last row. */
function rowsOf(inside: Emitter, x: Value, assignments: Value, n: number, zeros: boolean): Value {
  const [rows, width] = dimensions(x.shape, 2);
  const row = quotient(inside, assignments, n / rows);
  const found = inside.gather(x, inside.zip('minimum', row, inside.fill(rows - 1, 'i32')), 0);
  if (!zeros) return found;
  const isAny = inside.compare('LT', assignments, inside.fill(n, 'i32'));
  return inside.select(inside.spread(isAny, [isAny.shape[0] as number, width], [0]), found, inside.fill(0, x.type));
}

/** Returns entry i of values [n] as a scalar. */
const entryAt = (inside: Emitter, values: Value, i: Value): Value => inside.reshape(inside.sliceAt(values, i, 1), []);

/**
 * Returns Σ a_t ⊗ b_t for each expert: [experts · out, width]. The blocks of an expert are consecutive, and their sum is kept in 32 bits
 * until the next expert's first block.
 */
function allGradients(emitter: Emitter, a: Value, b: Value, ids: Value, experts: number): Value {
  const n = ids.shape[0] as number;
  const [out, width] = [a.shape[1] as number, b.shape[1] as number];
  const { size, count, assignmentAt, expertOf } = groupByExpert(emitter, ids, experts);
  const state = [zerosBehind(emitter, a, a.type, [experts * out, width]), zerosBehind(emitter, a, 'f32', [out, width])];
  const gradients = emitter.loop({ count, state, read: [a, b, assignmentAt, expertOf] }, step => {
    const { inside, i } = step;
    const [all, sum] = two(step.state);
    const [left, right, at] = three(step.read);
    const of = elementAt(step.read, 3);
    const own = inside.sliceAt(at, times(inside, i, size), size);
    const expert = entryAt(inside, of, i);
    const last = entryAt(inside, of, inside.zip('maximum', inside.zip('subtract', i, inside.fill(1, 'i32')), inside.fill(0, 'i32')));
    const product = inside.dot(
      rowsOf(inside, left, own, n, true),
      rowsOf(inside, right, own, n, true),
      { batch: [], contracted: [0, 0] },
      'f32',
    );
    const isSame = inside.compare('EQ', expert, last);
    const total = inside.zip('add', inside.select(isSame, sum, inside.fill(0, 'f32')), product);
    return [inside.replaceAt(all, inside.convert(total, a.type), times(inside, expert, out)), total];
  });
  return one(gradients);
}

export const expertLowerings: Pick<LoweringTable, 'expertProduct' | 'expertGradient'> = {
  expertProduct: ({ emitter, inputs, attrs: { experts, transposed } }) => {
    const [x, w, ids] = three(inputs);
    const [stacked, width] = dimensions(w.shape, 2);
    const n = ids.shape[0] as number;
    const out = stacked / experts;
    const { iterations, together } = blocksTogether({ n, experts, width, out });
    const { size, count, assignmentAt, expertOf } = groupByExpert(emitter, ids, experts);
    // The padding of the last iteration has no assignments and uses the first expert.
    const missing = iterations * together - count;
    const places = emitter.pad(assignmentAt, [0], [missing * size], emitter.fill(n, 'i32'));
    const owners = emitter.pad(expertOf, [0], [missing], emitter.fill(0, 'i32'));
    const state = [zerosBehind(emitter, x, x.type, [n, transposed ? width : out])];
    const products = emitter.loop({ count: iterations, state, read: [x, w, places, owners] }, step => {
      const { inside, i } = step;
      const [rows, matrices, at] = three(step.read);
      const own = inside.sliceAt(at, times(inside, i, together * size), together * size);
      const chosen = inside.sliceAt(elementAt(step.read, 3), times(inside, i, together), together);
      const left = rowsOf(inside, rows, own, n, false);
      const blocks = inside.reshape(left, [together, size, left.shape[1] as number]);
      const right = inside.gather(inside.reshape(matrices, [experts, out, width]), chosen, 0);
      const products = inside.dot(blocks, right, { batch: [[0, 0]], contracted: [2, transposed ? 1 : 2] });
      // An empty slot has the index n, which is out of range and skipped.
      const ofPlaces = inside.reshape(products, [together * size, transposed ? width : out]);
      return [inside.scatter(one(step.state), own, ofPlaces, { combine: 'replace', unique: true })];
    });
    return one(products);
  },
  expertGradient: ({ emitter, inputs, attrs: { experts } }) => {
    const [a, b, ids] = three(inputs);
    const rows = inputs[3];
    if (!rows) return allGradients(emitter, a, b, ids, experts);
    const n = ids.shape[0] as number;
    const [left, right] = [repeated(emitter, a, n), repeated(emitter, b, n)];
    const out = left.shape[1] as number;
    const expert = quotient(emitter, rows, out);
    const column = emitter.zip('subtract', rows, times(emitter, expert, out));
    const shape = [n, rows.shape[0] as number];
    const own = emitter.compare('EQ', emitter.spread(ids, shape, [0]), emitter.spread(expert, shape, [1]));
    const parts = emitter.select(own, emitter.gather(left, column, 1), emitter.fill(0, left.type));
    return emitter.dot(parts, right, { batch: [], contracted: [0, 0] });
  },
};
