/** A run on the Compare page. */
import type { RunModel } from '../shared/run-model.ts';

export interface ComparedRun {
  readonly runDir: string;
  readonly model: RunModel;
  /** Index of the run's color and dash pattern, which stays the same when other runs are removed. */
  readonly look: number;
  readonly isShown: boolean;
}
