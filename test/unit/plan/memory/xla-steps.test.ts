/** Which operations of a schedule have a buffer where XLA fuses them. How near that comes to its compiler is in bench/results/cards.md. */
import { describe, expect, it } from 'vitest';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { required } from '../../../../trainer/narrow.ts';
import { xlaSteps } from '../../../../trainer/plan/memory/xla-steps.ts';

const SIZE = 64;
const BYTES = 4 * SIZE * SIZE;

function buffersOf(build: (graph: Graph, x: Node) => Node) {
  const graph = new Graph();
  const outputs = { y: build(graph, graph.feed('x', [SIZE, SIZE])) };
  const signature = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  const steps = xlaSteps(signature);
  return { ops: steps.flatMap(({ nodes }) => nodes.map(({ op }) => op)), peakBytes: liveness(signature, steps).peakBytes };
}

describe('buffers of a schedule', () => {
  it('are not those of operations that one reader computes', () => {
    const { ops } = buffersOf((graph, x) => graph.sum(graph.exp(graph.mul(x, 2)), [1]));
    expect(ops.filter(op => op === 'mul' || op === 'exp')).toEqual([]);
  });

  it('are those of what a product reads', () => {
    const { ops } = buffersOf((graph, x) => graph.matmul(graph.exp(x), x));
    expect(ops).toContain('exp');
  });

  it('are those of what many readers would compute from much', () => {
    const sumOfProducts = (graph: Graph, x: Node): Node => graph.add(graph.matmul(x, x), graph.matmul(x, graph.exp(x)));
    const { ops } = buffersOf((graph, x) => {
      const shared = sumOfProducts(graph, x);
      return graph.concat([graph.sum(shared, [1]), graph.sum(graph.exp(shared), [1]), graph.sum(graph.neg(shared), [1])], 0);
    });
    expect(ops).toContain('add');
    expect(ops).not.toContain('neg');
  });

  it('live until the last operation that is computed from them', () => {
    const { peakBytes } = buffersOf((graph, x) => graph.matmul(graph.sum(graph.exp(graph.matmul(x, x)), [0], true), x));
    // x, and its product with itself.
    expect(peakBytes).toBeGreaterThanOrEqual(2 * BYTES);
    expect(peakBytes).toBeLessThan(3 * BYTES);
  });
});
