/** The matrix product. */
import { bufferOf } from '../../../graph/alias.ts';
import { isSource, type Node } from '../../../graph/node-store.ts';
import { copiesFactors, filledRows } from '../../../graph/xla-split-sums.ts';
import { elementAt } from '../../../narrow.ts';
import type { DotAxes, Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { type LoweringTable, two } from '../lowering.ts';

export const productLowerings: Pick<LoweringTable, 'matmul'> = {
  matmul: ({ emitter, inputs, node, card, attrs: { transposeA, transposeB } }) => {
    const [a, b] = two(inputs);
    const rank = a.shape.length;
    const axes: DotAxes = {
      batch: Array.from({ length: rank - 2 }, (_, i) => [i, i] as const),
      contracted: [transposeA ? rank - 2 : rank - 1, transposeB ? rank - 1 : rank - 2],
    };
    const added = card ? filledRows(node, card) - elementAt(node.shape, rank - 2) : 0;
    if (added > 0) return filledDot(emitter, node, { a, b, axes, added });
    return card && copiesFactors(node, card) ? dotOfLateCopy(emitter, node, { a, b, axes }) : emitter.dot(a, b, axes);
  },
};

interface Factors {
  readonly a: Value;
  readonly b: Value;
  readonly axes: DotAxes;
}

interface FilledDot extends Factors {
  readonly added: number;
}

/**
 * Returns a product that is padded with rows of zeros. A barrier protects it: otherwise XLA would slice it in its readers, and hold the
 * parts of its sums until then.
 */
function filledDot(emitter: Emitter, { shape, attrs: { transposeA } }: Node<'matmul'>, { a, b, axes, added }: FilledDot): Value {
  const none = [0, 0];
  const filled = emitter.pad(a, none, transposeA ? [0, added] : [added, 0], emitter.fill(0, a.type));
  return elementAt(emitter.barrier([emitter.slice(emitter.dot(filled, b, axes), none, shape)]), 0);
}

/**
 * Returns a product whose factors XLA copies. A weight waits for the other factor: otherwise XLA would copy all such weights before the first of
 * them is used.
 */
function dotOfLateCopy(emitter: Emitter, { inputs }: Node<'matmul'>, { a, b, axes }: Factors): Value {
  const [isWeightA, isWeightB] = inputs.map(input => isSource(bufferOf(input)));
  if (isWeightA === isWeightB) return emitter.dot(a, b, axes);
  return isWeightA ? emitter.dot(emitter.after(a, [b]), b, axes) : emitter.dot(a, emitter.after(b, [a]), axes);
}
