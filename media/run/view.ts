/** A part of the run page that is drawn from the run's model. */
import type { RunModel } from '../shared/run-model.ts';

export interface View {
  readonly element: HTMLElement;
  update(model: RunModel): void;
}
