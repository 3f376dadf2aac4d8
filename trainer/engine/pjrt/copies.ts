/** The devices that hold the variables of a program. */
import { writtenVariables } from '../../graph/alias.ts';
import { isOp, type Node } from '../../graph/node-store.ts';
import type { Program, Signature } from '../../graph/program.ts';
import { EngineError } from '../engine.ts';

const usedBy = (node: Node): readonly string[] => (isOp(node, 'read') ? [node.attrs.variable] : writtenVariables(node));

const replicasOf = ({ replicas = 1 }: Signature): number => replicas;

/**
 * Returns, for each variable name, the number of devices, counted from the first, that hold the variable: all on which a signature uses it.
 */
export function copiesOf({ signatures }: Pick<Program, 'signatures'>): ReadonlyMap<string, number> {
  const copies = new Map<string, number>();
  for (const signature of Object.values(signatures))
    for (const name of signature.schedule.flatMap(usedBy)) copies.set(name, Math.max(copies.get(name) ?? 1, replicasOf(signature)));
  return copies;
}

/**
 * Checks that all copies of a variable stay equal. @param devices number of devices of the process
 * @throws EngineError if a program needs more devices, or a signature would change some copies of a variable but not all
 */
export function checkCopies(program: Pick<Program, 'signatures'>, devices: number): void {
  const copies = copiesOf(program);
  for (const [name, signature] of Object.entries(program.signatures)) {
    const replicas = replicasOf(signature);
    if (replicas > devices) throw new EngineError(`${name} runs on ${replicas} devices at the same time, but there are ${devices}`);
    const changed = signature.schedule.flatMap(writtenVariables).find(variable => (copies.get(variable) ?? 1) > replicas);
    if (changed !== undefined)
      throw new EngineError(`${name} changes ${changed} on ${replicas} of the ${copies.get(changed)} devices that have a copy of it`);
  }
}
