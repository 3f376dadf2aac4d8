/** Decides when each tensor of a schedule may be freed: after its last reader has run. */
import type { Node } from '../../graph/graph.ts';
import type { Signature } from '../../graph/program.ts';

/** Returns a list whose entry i contains the nodes whose tensors are not read after node i of the schedule. Outputs are in no entry. */
export function releasePlan({ schedule, outputs }: Signature): Node[][] {
  const lastReader = new Map<Node, number>();
  schedule.forEach((node, at) => {
    for (const used of [node, ...node.inputs]) lastReader.set(used, at);
  });
  for (const output of Object.values(outputs)) lastReader.delete(output);
  const plan: Node[][] = schedule.map(() => []);
  for (const [node, at] of lastReader) plan[at]?.push(node);
  return plan;
}
