/** A part of the run page, redrawn from everything that is known about the run. */
import type { RunModel } from '../shared/run-model.ts';

export interface View {
  readonly element: HTMLElement;
  update(model: RunModel): void;
}
