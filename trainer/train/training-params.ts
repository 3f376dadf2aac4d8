/** The parameters that the training programs are built from. */

import type { ComputedParts } from '../graph/graph.ts';
import type { Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { SumType } from '../graph/sum-forms.ts';
import type { Attachment } from '../method/method.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import type { BatchShape, Task } from './task.ts';

export interface TrainProgramParams {
  readonly task: Task;
  readonly attachment: Attachment;
  readonly optimizer: OptimizerSettings;
  /** Share of each target that the training loss spreads evenly over all classes or tokens. */
  readonly labelSmoothing?: number;
  /** Maximum global gradient norm. 0: no clipping, and each update is applied as soon as its gradient exists. */
  readonly maxGradNorm: number;
  /** Number of batches whose gradients are summed; above 1, a separate signature applies them. */
  readonly accumulationSteps: number;
  /** The parts of a batch; by default, one process computes the whole batch, on one device. */
  readonly parts?: ComputedParts | undefined;
  /** The type in which gradients are sent between processes, float32 by default. */
  readonly exchangeType?: SumType;
  /** See `Tracer.fillingRows`. */
  readonly fillingRows?: number | undefined;
  readonly recompute: RecomputePolicy;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
  /** Additional signatures of the program, for decoding. */
  readonly further?: Readonly<Record<string, Traced>>;
}

/** Parameters of one signature; see `BackwardParams` for `groupBlocks`. */
export type TraceParams = Omit<TrainProgramParams, 'trainShapes' | 'evalShapes' | 'further'> & { readonly groupBlocks?: number };

/** True if the gradients of several runs are summed, and applied by a separate signature. */
export const accumulates = ({ task: { cached }, accumulationSteps }: Pick<TrainProgramParams, 'task' | 'accumulationSteps'>): boolean =>
  accumulationSteps > 1 || cached !== undefined;
