/** Runs a layer built by a test on the reference engine, forward and backward. */
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { elementCount, type Shape } from '../../../../trainer/graph/types.ts';
import { valueFor } from '../../../../trainer/narrow.ts';
import { type InputNodes, inputNodes, randomNumbers } from '../../../support/numbers/operation-case.ts';
import { lossWeights } from '../../../support/numbers/run-case.ts';
import { runGraph } from '../../graph/run-graph.ts';

export type Inputs = Readonly<Record<string, { readonly shape: Shape; readonly data: Float32Array }>>;
export type BuildLayer = (graph: Graph, inputs: InputNodes) => Node;

/** Returns uniform values in [−1, 1) for each input. */
export const inputsOf = (shapes: Readonly<Record<string, Shape>>): Inputs =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      { shape, data: Float32Array.from(randomNumbers(elementCount(shape), -1, 1, i + 11)) },
    ]),
  );

function trace(inputs: Inputs, build: BuildLayer) {
  const graph = new Graph();
  const nodes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, graph.feed(name, shape)]));
  return { graph, nodes, y: build(graph, inputNodes(nodes)) };
}

const feedsOf = (inputs: Inputs) => Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data]));

export async function forward(inputs: Inputs, build: BuildLayer): Promise<number[]> {
  const { graph, y } = trace(inputs, build);
  return (await runGraph({ graph, outputs: { y }, effects: [] }, feedsOf(inputs))).y ?? [];
}

/** Returns the gradient of Σ y·w (w from `lossWeights`) for each input, by the gradient rules. */
export async function gradients(inputs: Inputs, build: BuildLayer): Promise<Record<string, number[]>> {
  const { graph, nodes, y } = trace(inputs, build);
  const seed = graph.constant(Float32Array.from(lossWeights(elementCount(y.shape))), y.shape, 'float32');
  const found = backward(graph, {
    seeds: [{ node: y, gradient: seed }],
    wrt: new Map(Object.values(nodes).map(node => [node, {}])),
    policy: 'none',
  });
  const outputs = Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, valueFor(found, node)]));
  return runGraph({ graph, outputs, effects: [] }, feedsOf(inputs));
}

/** Returns the same by central differences of a function in double precision. */
export function numericGradients(inputs: Inputs, y: (inputs: Readonly<Record<string, number[]>>) => number[]): Record<string, number[]> {
  const start = Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Array.from(data)]));
  const loss = (at: Record<string, number[]>): number => {
    const values = y(at);
    const weights = lossWeights(values.length);
    return values.reduce((sum, value, i) => sum + value * (weights[i] as number), 0);
  };
  const step = 1e-5;
  return Object.fromEntries(
    Object.entries(start).map(([name, values]) => [
      name,
      values.map((value, i) => {
        const at = (x: number) => loss({ ...start, [name]: values.with(i, x) });
        return (at(value + step) - at(value - step)) / (2 * step);
      }),
    ]),
  );
}
