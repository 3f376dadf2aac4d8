/** Runs a graph built by a test, by default on the reference engine. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import type { Node } from '../../../trainer/graph/graph.ts';
import { assemble, type Traced } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openReference } from '../../support/engines.ts';

const reference = await openReference();

/** Returns the outputs of one run; loads those of `variables` that the graph has. */
export async function runGraph(
  traced: Traced,
  feeds: Readonly<Record<string, HostArray>>,
  variables: Readonly<Record<string, HostArray>> = {},
  engine: Engine = reference,
): Promise<Record<string, number[]>> {
  const session = await engine.compile(assemble({ run: traced }));
  await session.load(
    Object.entries(variables)
      .filter(([name]) => traced.graph.variables.has(name))
      .map(([name, data]) => ({ name, data })),
  );
  const outputs = await session.run('run', feeds);
  await session.dispose();
  return Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, Array.from(values)]));
}

/** Returns the operations of a schedule, in order. */
export const opsOf = (nodes: readonly Node[]): string[] => nodes.map(node => node.op);
