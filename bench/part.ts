/** A part of the benchmark and its parameters. */
import type { ModelName } from './bench-models.ts';
import type { Precision } from './frontier/frontier-plan.ts';
import type { SidesParams } from './main.ts';
import type { MeasurementStore } from './measurements.ts';
import type { Facts } from './report.ts';
import type { Sides } from './run-side.ts';

export type Part =
  | 'frontier'
  | 'long'
  | 'sweep'
  | 'precision'
  | 'load'
  | 'serve'
  | 'preferences'
  | 'true-size'
  | 'scale'
  | 'scale-model'
  | 'gpu';

export interface PartsParams extends SidesParams {
  readonly parts: readonly Part[];
  readonly models: readonly ModelName[];
  readonly precisions: readonly Precision[];
  /** Measured steps of each process. */
  readonly steps: number;
  readonly threads: number;
  readonly jobs: number;
  readonly brief: boolean;
  /** The most layers of a model of true size; left out: all that fit. */
  readonly layers?: number;
  /** Whether measurements of an interrupted run are reused. */
  readonly resume: boolean;
  /** A Python that has TRL, where the part about preferences is measured. */
  readonly trlPython: string | undefined;
  /** Lines of {"text"} for continued pre-training. */
  readonly texts: string;
}

/** The context that each part works with. */
export interface PartContext extends Omit<PartsParams, 'parts' | 'python'> {
  readonly sides: Sides;
  readonly facts: Facts;
  readonly store: MeasurementStore;
  /** Folder of the results. */
  readonly results: string;
}
