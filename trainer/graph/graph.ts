/** The trainer's graph: a builder with the rules of all operations. */
import { type ComputedParts, GraphBuilder } from './graph-builder.ts';
import { opTable } from './op-table.ts';

export { type ComputedParts, OWN_PART, ownPartFeed, type Parts, RANDOM_STEPS } from './graph-builder.ts';
export { type CustomGradient, inputsOf, isOp, type Node, type VariableSpec } from './node-store.ts';

export class Graph extends GraphBuilder {
  constructor(parts?: ComputedParts) {
    super(opTable, parts);
  }
}
