/** Everything that the programs of training are made of. */

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
  /** Largest global gradient norm; 0: no clipping, and each update is applied as soon as its gradient exists. */
  readonly maxGradNorm: number;
  /** Above 1, gradients are summed over this many batches and applied by a signature of their own. */
  readonly accumulationSteps: number;
  /** Left out: one process computes the whole batch, on one device. */
  readonly parts?: ComputedParts | undefined;
  /** The type in which gradients travel between processes; float32 if left out. */
  readonly exchangeType?: SumType;
  readonly recompute: RecomputePolicy;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
  /** Further signatures of the program: those of decoding. */
  readonly further?: Readonly<Record<string, Traced>>;
}

/** Parameters of one signature; see `BackwardParams` for `groupBlocks`. */
export type TraceParams = Omit<TrainProgramParams, 'trainShapes' | 'evalShapes' | 'further'> & { readonly groupBlocks?: number };

/** Whether the gradients of several runs are summed, and applied by a signature of their own. */
export const accumulates = ({ task: { cached }, accumulationSteps }: Pick<TrainProgramParams, 'task' | 'accumulationSteps'>): boolean =>
  accumulationSteps > 1 || cached !== undefined;
