/** Tests what gradients of chosen rows of experts hold, as in programs that XLA compiled for an H100. */
import { describe, expect, it } from 'vitest';
import { cardCatalog } from '../../../../trainer/catalog/cards.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { required } from '../../../../trainer/narrow.ts';
import { xlaSteps } from '../../../../trainer/plan/memory/xla-steps.ts';

const [TOKENS, CHOSEN, WIDTH, EXPERTS, ROWS] = [8, 2, 16, 4, 3];

/** Returns the steps that compute gradients of rows: of two matrices for each of these assignments. */
function gradientSteps(...assignments: readonly string[]) {
  const graph = new Graph();
  const x = graph.feed('x', [TOKENS, WIDTH]);
  const rows = graph.feed('rows', [ROWS], 'int32');
  const gradients = assignments.flatMap(name => {
    const ids = graph.feed(name, [TOKENS * CHOSEN], 'int32');
    const of = (matrix: string): Node =>
      graph.expertGradient(graph.feed(`${name} ${matrix}`, [TOKENS * CHOSEN, WIDTH]), x, ids, EXPERTS, rows);
    return [of('gate'), of('up')];
  });
  const outputs = { y: graph.concat(gradients, 0) };
  const signature = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  return xlaSteps(signature, cardCatalog.h100).filter(({ nodes }) => nodes.some(({ op }) => op === 'expertGradient'));
}

describe('the parts of gradients of rows', () => {
  const PARTS = 4 * TOKENS * CHOSEN * ROWS;

  it('lie there for all projections of a block once the last gradient is known', () => {
    const [first, last] = gradientSteps('ids');
    expect([first?.heldBytes, last?.heldBytes]).toEqual([undefined, 2 * PARTS]);
    expect(last?.reads).toEqual(expect.arrayContaining([...(first?.reads ?? [])]));
  });

  it('lie there for each block apart', () => {
    const steps = gradientSteps('ids', 'others');
    expect(steps.map(({ heldBytes }) => heldBytes)).toEqual([undefined, 2 * PARTS, undefined, 2 * PARTS]);
    expect(steps[3]?.reads.some(read => steps[1]?.reads.includes(read) && read.op !== 'feed')).toBe(false);
  });
});
