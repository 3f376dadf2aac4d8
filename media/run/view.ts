/** A part of the page of a run, drawn anew from all that is known of the run. */
import type { RunModel } from '../shared/run-model.ts';

export interface View {
  readonly element: HTMLElement;
  update(model: RunModel): void;
}
