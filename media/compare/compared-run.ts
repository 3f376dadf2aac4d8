/** A run on the Compare page. */
import type { RunModel } from '../shared/run-model.ts';

export interface ComparedRun {
  readonly runDir: string;
  readonly model: RunModel;
  /** Its position among the runs when it was added: its color stays when others are removed. */
  readonly look: number;
  readonly isShown: boolean;
}
