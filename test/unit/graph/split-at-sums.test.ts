/**
 * Tests signatures that are split at their sums over processes: the parts, the values between them, and where updates and recomputed values
 * go.
 */
import { describe, expect, it } from 'vitest';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { assemble, type Signature } from '../../../trainer/graph/program.ts';
import { orderedBySums, type SumPart, splitAtSums } from '../../../trainer/graph/split-at-sums.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';

const SIZE = 4;
const W = { name: 'w', shape: [SIZE, SIZE], dtype: 'float32' } as const;

const ofGraph = (build: (graph: Graph) => { outputs: Record<string, Node>; effects?: Node[] }): Signature => {
  const graph = new Graph({ count: 2, own: 0 });
  const { outputs, effects = [] } = build(graph);
  return required(assemble({ run: { graph, outputs, effects } }).signatures.run, 'run');
};

const opsOf = ({ schedule }: SumPart): string[] => schedule.map(({ op }) => op);

/** Two products, whose gradients are each summed as soon as they exist and then change a weight. */
const step = (): Signature =>
  ofGraph(graph => {
    const x = graph.feed('x', [SIZE, SIZE]);
    const w = graph.read(W);
    const y = graph.matmul(x, w);
    const first = graph.endSum(graph.beginSum(graph.square(y), 'bfloat16', 'first'));
    const update = graph.assignAdd('w', first);
    const second = graph.matmul(graph.exp(y), x);
    const other = graph.endSum(graph.beginSum(second));
    graph.declare({ name: 'v', shape: [SIZE, SIZE], dtype: 'float32' });
    return { outputs: { loss: graph.sumAll(y), norm: graph.sumAll(other) }, effects: [update, graph.assign('v', graph.mul(other, 2))] };
  });

describe('a signature without sums', () => {
  it('is one part', () => {
    const signature = ofGraph(graph => ({ outputs: { y: graph.exp(graph.feed('x', [SIZE])) } }));
    expect(splitAtSums(signature)).toEqual([{ ...signature, given: [], kept: [], sums: [] }]);
    expect(orderedBySums(signature)).toBe(signature);
  });
});

describe('updates', () => {
  it('wait for the end, so that all sums of a step are between two parts', () => {
    const parts = splitAtSums(step());
    expect(parts).toHaveLength(2);
    const [first, second] = [elementAt(parts, 0), elementAt(parts, 1)];
    expect(first.sums.map(({ begin }) => begin.attrs)).toEqual([
      { as: 'bfloat16', residual: 'first' },
      { as: 'float32', residual: '' },
    ]);
    expect(first.kept).toEqual(first.sums.map(({ own }) => own));
    expect(new Set(second.given)).toEqual(new Set(first.sums.map(({ sum }) => sum)));
    expect(Object.keys(first.outputs)).toEqual(['loss']);
    expect(Object.keys(second.outputs)).toEqual(['norm']);
    expect(opsOf(second).filter(op => op.startsWith('assign'))).toEqual(['assignAdd', 'assign']);
    expect(opsOf(first).filter(op => op.startsWith('assign'))).toEqual([]);
    expect(second.feeds).toEqual([]);
    expect([...opsOf(first), ...opsOf(second)].some(op => op.endsWith('Sum'))).toBe(false);
  });

  it('stand behind all work in the order of the parts, and sums between them', () => {
    const ordered: string[] = orderedBySums(step()).schedule.map(({ op }) => op);
    const places = ['exp', 'beginSum', 'endSum', 'assignAdd'].map(op => [ordered.indexOf(op), ordered.lastIndexOf(op)]);
    expect(places.flat()).toEqual(places.flat().toSorted((a, b) => a - b));
    expect(ordered.toSorted()).toEqual(
      step()
        .schedule.map(({ op }) => op)
        .toSorted(),
    );
  });
});

describe('a variable', () => {
  it('is read in every part that uses it, and changed behind all that reads it as it was', () => {
    const signature = ofGraph(graph => {
      const w = graph.read(W);
      const total = graph.totalOf(graph.sumAll(w));
      const late = graph.mul(w, total);
      const again = graph.assign('w', graph.zeros([SIZE, SIZE]));
      return { outputs: { late, after: graph.exp(graph.read(W, 1)) }, effects: [again] };
    });
    const parts = splitAtSums(signature);
    expect(parts.map(part => opsOf(part).filter(op => op === 'read').length)).toEqual([1, 2]);
    expect(parts.map(part => opsOf(part).includes('assign'))).toEqual([false, true]);
    // The weight is not a buffer that a part passes on.
    expect(elementAt(parts, 0).kept.map(({ op }) => op)).toEqual([elementAt(elementAt(parts, 0).sums, 0).own.op]);
    expect(Object.keys(elementAt(parts, 1).outputs)).toEqual(['late', 'after']);
  });

  it('may itself be summed', () => {
    const [first] = splitAtSums(ofGraph(graph => ({ outputs: { y: graph.totalOf(graph.read(W)) } })));
    expect(opsOf(required(first, 'the first part'))).toEqual(['read']);
  });
});

describe('what is computed again', () => {
  it('is in the part that reads it, instead of being kept for it', () => {
    const signature = ofGraph(graph => {
      const x = graph.exp(graph.feed('x', [SIZE]));
      const again = graph.within({ recomputed: true }, () => graph.tanh(x));
      return { outputs: { y: graph.mul(again, graph.totalOf(graph.square(x))) } };
    });
    const parts = splitAtSums(signature);
    expect(parts.map(part => opsOf(part).includes('tanh'))).toEqual([false, true]);
    expect(
      elementAt(parts, 0)
        .kept.map(({ op }) => op)
        .toSorted(),
    ).toEqual(['exp', elementAt(elementAt(parts, 0).sums, 0).own.op].toSorted());
  });
});
