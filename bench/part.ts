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
  /** Number of measured steps per process. */
  readonly steps: number;
  readonly threads: number;
  readonly jobs: number;
  readonly brief: boolean;
  /** Maximum number of layers of a true-size model; undefined for all that fit. */
  readonly layers?: number;
  /** True to reuse the measurements of an interrupted run. */
  readonly resume: boolean;
  /** A Python that has TRL, for the part about preferences. */
  readonly trlPython: string | undefined;
  /** A file of lines {"text"} for continued pre-training. */
  readonly texts: string;
}

/** The context that every part receives. */
export interface PartContext extends Omit<PartsParams, 'parts' | 'python'> {
  readonly sides: Sides;
  readonly facts: Facts;
  readonly store: MeasurementStore;
  /** Folder for the results. */
  readonly results: string;
}
