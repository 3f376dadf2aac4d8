/** A step: the unit that an engine runs at once. */
import type { Node } from '../graph.ts';
import type { Signature } from '../program.ts';
import type { FewRows } from './few-rows.ts';
import type { RowProgram } from './row-program.ts';
import type { Unpacking } from './unpacking.ts';

/**
 * One node, several nodes as a fused program, the unpacking of a weight from 4-bit codes with all nodes in between, or a product of a few
 * rows with a weight in its stored form.
 */
export interface Step {
  /** Nodes whose values the step produces. The step takes the position of the last one in the schedule. */
  readonly nodes: readonly Node[];
  readonly reads: readonly Node[];
  readonly program?: RowProgram;
  readonly unpacking?: Unpacking;
  readonly fewRows?: FewRows;
  /** True if its kernel never writes to memory that it reads. */
  readonly isFresh?: true;
  /** Bytes of the partial sums of its result, if another step adds them: until then they occupy memory instead of the result. */
  readonly partBytes?: number;
  /** Bytes that kernels of this step hold in addition to what the step's operations need. */
  readonly heldBytes?: number;
  /** Results whose partial sums the step adds. A result that later steps also read is in memory from then on. */
  readonly adds?: readonly Node[];
}

/** Returns true if a step is simply its node's operation on its node's inputs. */
export const isPlain = ({ program, unpacking, fewRows }: Step): boolean =>
  program === undefined && unpacking === undefined && fewRows === undefined;

/** Returns one step per node, in schedule order. */
export const singleSteps = ({ schedule }: Pick<Signature, 'schedule'>): Step[] =>
  schedule.map(node => ({ nodes: [node], reads: node.inputs }));
