/** The parts of the benchmark beyond SmolLM2's own comparison, on the same sides and in the same process. */
import path from 'node:path';
import type { ModelName } from './bench-models.ts';
import { runFrontier } from './frontier.ts';
import type { Precision } from './frontier-plan.ts';
import { runLoad } from './load.ts';
import { runLong } from './long.ts';
import { gatherFacts, openSides, type SidesParams } from './main.ts';
import { MeasurementStore } from './measurements.ts';
import { runPrecision } from './precision.ts';
import type { Facts } from './report.ts';
import { coreSets, type Sides } from './run-side.ts';
import { runSweep } from './sweep.ts';

export type Part = 'frontier' | 'long' | 'sweep' | 'precision' | 'load';

export interface PartsParams extends SidesParams {
  readonly parts: readonly Part[];
  readonly models: readonly ModelName[];
  readonly precisions: readonly Precision[];
  /** Measured steps of each process. */
  readonly steps: number;
  readonly threads: number;
  readonly jobs: number;
  readonly brief: boolean;
  /** Whether measurements of an interrupted run are reused. */
  readonly resume: boolean;
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

const runs: Readonly<Record<Part, (context: PartContext) => Promise<boolean>>> = {
  frontier: runFrontier,
  long: runLong,
  sweep: runSweep,
  precision: runPrecision,
  load: runLoad,
};

/** @returns false when something could not be measured */
export async function runParts(params: PartsParams): Promise<boolean> {
  coreSets(params.threads, params.jobs);
  const sides = await openSides(params);
  const store = new MeasurementStore(path.join(params.cacheDir, 'bench', 'measured.jsonl'), params.resume);
  const results = path.join(params.root, 'bench', 'results');
  const context: PartContext = { ...params, sides, store, facts: await gatherFacts(sides), results };
  let isWhole = true;
  for (const part of params.parts) isWhole = (await runs[part](context)) && isWhole;
  return isWhole;
}
