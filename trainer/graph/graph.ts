/** The graph of the trainer: a builder with the rules of all operations. */
import { GraphBuilder } from './graph-builder.ts';
import { opTable } from './op-table.ts';

export { RANDOM_STEPS } from './graph-builder.ts';
export type { CustomGradient, Node, VariableSpec } from './node-store.ts';

export class Graph extends GraphBuilder {
  constructor() {
    super(opTable);
  }
}
