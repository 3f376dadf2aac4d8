/** A step: what an engine runs at once. */
import type { Node } from '../graph.ts';
import type { Signature } from '../program.ts';
import type { RowProgram } from './row-program.ts';

/** One node, or several as a fused program. */
export interface Step {
  /** The nodes whose values it gives. The last one's place in the schedule is the step's own. */
  readonly nodes: readonly Node[];
  readonly reads: readonly Node[];
  readonly program?: RowProgram;
}

/** One step per node, in the order of the schedule. */
export const singleSteps = ({ schedule }: Pick<Signature, 'schedule'>): Step[] =>
  schedule.map(node => ({ nodes: [node], reads: node.inputs }));
