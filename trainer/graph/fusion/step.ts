/** A step: what an engine runs at once. */
import type { Node } from '../graph.ts';
import type { Signature } from '../program.ts';
import type { RowProgram } from './row-program.ts';
import type { Unpacking } from './unpacking.ts';

/** One node, several as a fused program, or a weight of 4-bit codes with everything between the codes and its numbers. */
export interface Step {
  /** The nodes whose values it gives. The last one's place in the schedule is the step's own. */
  readonly nodes: readonly Node[];
  readonly reads: readonly Node[];
  readonly program?: RowProgram;
  readonly unpacking?: Unpacking;
  /** Its kernel never writes where it reads. */
  readonly isFresh?: true;
  /** Bytes of the partial sums of its result, if another step adds them: until then they are in memory in place of the result. */
  readonly partBytes?: number;
  /** Results whose partial sums it adds. One that later steps read, too, is in memory from then on. */
  readonly adds?: readonly Node[];
}

/** Whether a step is its node's own operation, on its node's own inputs. */
export const isPlain = ({ program, unpacking }: Step): boolean => program === undefined && unpacking === undefined;

/** One step per node, in the order of the schedule. */
export const singleSteps = ({ schedule }: Pick<Signature, 'schedule'>): Step[] =>
  schedule.map(node => ({ nodes: [node], reads: node.inputs }));
