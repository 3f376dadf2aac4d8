/** Runs a test case of an operation on an engine. No other operation test uses the engine's interface. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { assemble, type Program } from '../../../trainer/graph/program.ts';
import { elementCount, type HostArray } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';
import { inputNodes, type OperationCase, randomNumbers } from './operation-case.ts';

export interface CaseResult {
  /** The output; empty for a case that only has effects. */
  readonly y: number[];
  readonly variables: Record<string, number[]>;
}

export type Inputs = Readonly<Record<string, HostArray>>;

export const inputsOf = (test: OperationCase): Inputs =>
  Object.fromEntries(Object.entries(test.feeds ?? {}).map(([name, { data }]) => [name, data]));

/** Returns the inputs and variables as plain numbers, for a naive formula. */
export const numbersOf = (test: OperationCase): Record<string, number[]> =>
  Object.fromEntries(Object.entries({ ...test.feeds, ...test.variables }).map(([name, { data }]) => [name, Array.from(data)]));

function trace(test: OperationCase) {
  const graph = new Graph();
  const feeds = Object.entries(test.feeds ?? {}).map(([name, { shape, dtype }]) => [name, graph.feed(name, shape, dtype)] as const);
  for (const [name, { shape, dtype }] of Object.entries(test.variables ?? {})) graph.declare({ name, shape, dtype });
  const inputs: Record<string, Node> = Object.fromEntries(feeds);
  return { graph, inputs, ...test.build(graph, inputNodes(inputs)) };
}

export function forwardProgram(test: OperationCase): Program {
  const { graph, y, effects = [] } = trace(test);
  return assemble({ run: { graph, outputs: y ? { y } : {}, effects } });
}

/** Compiles a program, loads the case's variables, and calls `use` with a function that runs the program. */
export async function withSession<T>(
  engine: Engine,
  test: OperationCase,
  program: Program,
  use: (run: (inputs: Inputs) => Promise<Record<string, HostArray>>, read: (variable: string) => Promise<HostArray>) => Promise<T>,
): Promise<T> {
  const session = await engine.compile(program);
  try {
    await session.load(Object.entries(test.variables ?? {}).map(([name, { data }]) => ({ name, data })));
    return await use(
      inputs => session.run('run', inputs),
      variable => session.read(variable),
    );
  } finally {
    await session.dispose();
  }
}

export function runCase(engine: Engine, test: OperationCase): Promise<CaseResult> {
  return withSession(engine, test, forwardProgram(test), async (run, read) => {
    const { y } = await run(inputsOf(test));
    const variables: Record<string, number[]> = {};
    for (const name of Object.keys(test.variables ?? {})) variables[name] = Array.from(await read(name));
    return { y: Array.from(y ?? []), variables };
  });
}

/** Returns fixed weights w of the loss Σ y·w, so that a gradient at the wrong position or in the wrong order is detected. */
export const lossWeights = (count: number): number[] => randomNumbers(count, 0.5, 1.5, 77);

/** Returns the gradients of Σ y·w for the inputs that the case names, from the gradient builder. `flat` weights are all 1. */
export async function runGradients(
  engine: Engine,
  test: OperationCase,
  names: readonly string[],
  flat: boolean,
): Promise<Record<string, number[]>> {
  const { graph, inputs, y } = trace(test);
  if (!y) throw new Error(`${test.title}: a case with gradients needs an output`);
  const inputOf = (name: string): Node => required(inputs[name], name);
  const count = elementCount(y.shape);
  const seed = graph.constant(Float32Array.from(flat ? new Array<number>(count).fill(1) : lossWeights(count)), y.shape, 'float32');
  const wrt = new Map(
    names.map(name => {
      const rows = test.gradients?.[name]?.rows;
      return [inputOf(name), rows ? { rows: graph.constant(Int32Array.from(rows), [rows.length], 'int32') } : {}] as const;
    }),
  );
  const gradients = backward(graph, { seeds: [{ node: y, gradient: seed }], wrt, policy: 'none' });
  const outputs = Object.fromEntries(names.map(name => [name, gradients.get(inputOf(name)) ?? graph.zeros(inputOf(name).shape)]));
  const program = assemble({ run: { graph, outputs, effects: [] } });
  return withSession(engine, test, program, async run =>
    Object.fromEntries(Object.entries(await run(inputsOf(test))).map(([name, values]) => [name, Array.from(values)])),
  );
}
