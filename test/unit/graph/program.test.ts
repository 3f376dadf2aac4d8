/** Tests programs: dead nodes, variables over signatures, and the law of aliases. */
import { describe, expect, test } from 'vitest';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { GraphError } from '../../../trainer/graph/types.ts';
import { opsOf } from './run-graph.ts';

const w = { name: 'w', shape: [2, 3], dtype: 'float32' as const };

test('what nothing asks for is dropped, and the order is kept', () => {
  const graph = new Graph();
  const x = graph.feed('x', [2, 3]);
  graph.feed('unused', [2]);
  const a = graph.exp(x);
  graph.log(a);
  const y = graph.add(graph.read(w), a);
  const effect = graph.assign('v', x);
  graph.declare({ ...w, name: 'v' });
  const { run } = assemble({ run: { graph, outputs: { y }, effects: [effect] } }).signatures;
  expect(opsOf(run?.schedule ?? [])).toEqual(['feed', 'exp', 'read', 'add', 'assign']);
  expect(run?.feeds.map(feed => feed.attrs.name)).toEqual(['x']);
});

test('signatures share their variables', () => {
  const [one, two] = [new Graph(), new Graph()];
  const y = one.neg(one.read(w));
  const z = two.add(two.read({ ...w, name: 'b' }), two.read(w));
  const program = assemble({ one: { graph: one, outputs: { y }, effects: [] }, two: { graph: two, outputs: { z }, effects: [] } });
  expect(program.variables.map(({ name }) => name)).toEqual(['w', 'b']);
});

test('a variable of two shapes is an error that names it and the signature', () => {
  const [one, two] = [new Graph(), new Graph()];
  one.declare(w);
  two.declare({ ...w, shape: [3, 2] });
  const trace = (graph: Graph) => ({ graph, outputs: {}, effects: [] });
  expect(() => assemble({ one: trace(one), two: trace(two) })).toThrow(/variable w has two shapes: \[2,3\] and \[3,2\] \(in two\)/);
});

describe('a value of a variable behind an update of it', () => {
  const build = (use: (graph: Graph) => { effects: ReturnType<Graph['neg']>[]; y?: ReturnType<Graph['neg']> }) => {
    const graph = new Graph();
    const { effects, y } = use(graph);
    return () => assemble({ step: { graph, outputs: y ? { y } : {}, effects } });
  };
  const change = (graph: Graph) => graph.assignAdd('w', graph.feed('x', [2, 3]));

  test.each<[string, (graph: Graph, old: ReturnType<Graph['neg']>) => ReturnType<Graph['neg']>]>([
    ['as it was read', (graph, old) => graph.neg(old)],
    ['under another shape', (graph, old) => graph.exp(graph.reshape(old, [6]))],
    ['as its first rows', (graph, old) => graph.neg(graph.sliceAxis(old, 0, 0, 1))],
    ['by another effect', (graph, old) => graph.assign('copy', old)],
  ])('%s is refused', (_, use) => {
    const run = build(graph => {
      const old = graph.read(w);
      graph.declare({ ...w, name: 'copy' });
      const effect = change(graph);
      return { effects: [effect, use(graph, old)] };
    });
    expect(run).toThrow(GraphError);
    expect(run).toThrow(/step: \w+ \(node \d+, place \d+\) uses w as it was read before an update/);
  });

  test('each variable that an effect changes counts', () => {
    const run = build(graph => {
      const m = graph.read({ ...w, name: 'm' });
      for (const name of ['w', 'v']) graph.declare({ ...w, name });
      const one = graph.scalar(1);
      const gradient = graph.feed('x', [2, 3]);
      const adam = graph.node('adam', [gradient, one, one, one, one], { variable: 'w', m: 'm', v: 'v', beta1: 0.9, beta2: 0.99 });
      return { effects: [adam], y: graph.neg(m) };
    });
    expect(run).toThrow(/uses m as it was read before/);
  });

  test('a fresh read, an earlier use, a copy and an output are fine', () => {
    const run = build(graph => {
      const old = graph.read(w);
      const used = graph.neg(old);
      const effect = change(graph);
      return { effects: [effect, graph.group([graph.exp(graph.read(w, 1)), graph.abs(used)])], y: old };
    });
    expect(run).not.toThrow();
  });
});
