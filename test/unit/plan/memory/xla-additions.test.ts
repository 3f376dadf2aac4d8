/** Tests the parts of divided sums until a kernel adds them, as in programs that XLA compiled for an H100. */
import { describe, expect, it } from 'vitest';
import { cardCatalog } from '../../../../trainer/catalog/cards.ts';
import type { Step } from '../../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { COMPILED_BUFFERS, liveness } from '../../../../trainer/graph/liveness.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { splitSumBytes } from '../../../../trainer/graph/xla-split-sums.ts';
import { required } from '../../../../trainer/narrow.ts';
import { xlaSteps } from '../../../../trainer/plan/memory/xla-steps.ts';

const { h100 } = cardCatalog;
const SHAPE = [128, 4096] as const;
const BYTES = 2 * SHAPE[0] * SHAPE[1];
/** Length of sums that are divided into four parts. Those of 128,256 are divided into eight, and one of 49,152 with 576 results into 32. */
const INNER = 2048;

interface Built {
  readonly steps: readonly Step[];
  readonly bytes: readonly number[];
}

/** @param build builds from products of [128, 4096] in bfloat16 */
function built(build: (graph: Graph, product: (name: string) => Node) => Node): Built {
  const graph = new Graph();
  const product = (name: string): Node =>
    graph.matmul(graph.feed(`${name} a`, [SHAPE[0], INNER], 'bfloat16'), graph.feed(`${name} b`, [INNER, SHAPE[1]], 'bfloat16'));
  const outputs = { y: build(graph, product) };
  const signature = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  const steps = xlaSteps(signature, h100);
  const isOutside = ({ op }: Node): boolean => op === 'feed';
  const rules = { ...COMPILED_BUFFERS, isOutside, scratchBytes: (node: Node) => splitSumBytes(node, h100) };
  return { steps, bytes: [...liveness(signature, steps, rules).bytes] };
}

const opsThatAdd = ({ steps }: Built): readonly string[] => steps.flatMap(({ nodes, adds }) => (adds ? nodes.map(({ op }) => op) : []));
const placeOf = ({ steps }: Built, op: string): number => steps.findIndex(({ nodes }) => nodes.some(node => node.op === op));

describe('the parts of a divided sum', () => {
  const PARTS = 4 * 4 * SHAPE[0] * SHAPE[1];

  it('lie there until the kernel that reads the product adds them', () => {
    const found = built((graph, product) => {
      const late = product('x');
      const between = graph.sum(graph.matmul(graph.feed('c', [64, 64]), graph.feed('d', [64, 64])), [0, 1]);
      return graph.add(graph.sum(graph.exp(late), [0]), graph.cast(between, 'bfloat16'));
    });
    expect(opsThatAdd(found)).toEqual(['sum']);
    const { bytes, steps } = found;
    const [made, added] = [placeOf(found, 'matmul'), steps.findIndex(({ adds }) => adds)];
    expect(added).toBeGreaterThan(made + 1);
    for (let i = made; i <= added; i++) expect(bytes[i]).toBeGreaterThanOrEqual(PARTS);
    expect(bytes.slice(added + 1).every(own => own < BYTES)).toBe(true);
  });

  it('make way for the result, where another kernel reads it later', () => {
    const found = built((graph, product) => {
      const x = product('x');
      const first = graph.sum(graph.exp(x), [0, 1]);
      return graph.mul(graph.neg(x), first);
    });
    const added = found.steps.findIndex(({ adds }) => adds);
    expect(found.bytes[added]).toBeGreaterThanOrEqual(PARTS + BYTES);
    expect(found.bytes[added + 1]).toBeLessThan(PARTS);
    expect(found.bytes[added + 1]).toBeGreaterThanOrEqual(BYTES);
  });

  it('wait for the last kernel of those that read the same, and are one', () => {
    const found = built((graph, product) => {
      const shared = graph.feed('table', SHAPE, 'bfloat16');
      const parts = ['x', 'y'].map(name =>
        graph.matmul(graph.mul(product(name), shared), graph.feed(`${name} c`, [SHAPE[1], 8], 'bfloat16')),
      );
      return graph.concat(parts, 0);
    });
    const adding = found.steps.flatMap(({ adds }) => (adds ? [adds.length] : []));
    expect(adding).toEqual([2]);
  });

  it.each([
    ['a product reads the result', (graph: Graph, x: Node) => graph.matmul(x, graph.feed('c', [SHAPE[1], 8], 'bfloat16'))],
    ['it is given out', (_: Graph, x: Node) => x],
  ])('are added by a kernel of their own, where %s', (_, read) => {
    expect(opsThatAdd(built((graph, product) => read(graph, product('x'))))).toEqual([]);
  });

  it('are added by a kernel of their own, where they are as many as the threads of a warp', () => {
    const graph = new Graph();
    const x = graph.matmul(graph.feed('a', [128, 49_152]), graph.feed('b', [49_152, 576]));
    const { signatures } = assemble({ run: { graph, outputs: { y: graph.sum(graph.exp(x), [0]) }, effects: [] } });
    expect(splitSumBytes(x, h100)).toBe(32 * 4 * 128 * 576);
    expect(xlaSteps(required(signatures.run, 'the signature'), h100).some(({ adds }) => adds)).toBe(false);
  });
});
