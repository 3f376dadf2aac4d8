/** The parts of the benchmark beyond SmolLM2's own comparison, on the same sides and in the same process. */
import path from 'node:path';
import type { ModelName } from './bench-models.ts';
import { runFrontier } from './frontier.ts';
import type { Precision } from './frontier-plan.ts';
import { gatherFacts, openSides, type SidesParams } from './main.ts';
import { MeasurementStore } from './measurements.ts';
import type { Facts } from './report.ts';
import { coreSets, type Sides } from './run-side.ts';

export const PARTS = ['frontier'] as const;
export type Part = (typeof PARTS)[number];

export interface PartsParams extends SidesParams {
  readonly parts: readonly Part[];
  readonly models: readonly ModelName[];
  readonly precisions: readonly Precision[];
  /** Measured steps of each process. */
  readonly steps: number;
  readonly threads: number;
  readonly jobs: number;
  readonly brief: boolean;
  /** What an interrupted run has measured is taken from where it was kept. */
  readonly resume: boolean;
}

/** What each part works with. */
export interface PartContext extends Omit<PartsParams, 'parts' | 'python' | 'sources'> {
  readonly sides: Sides;
  readonly facts: Facts;
  readonly store: MeasurementStore;
  /** Folder of the results. */
  readonly results: string;
}

const runs: Readonly<Record<Part, (context: PartContext) => Promise<boolean>>> = { frontier: runFrontier };

/** @returns false when something could not be measured */
export async function runParts(params: PartsParams): Promise<boolean> {
  coreSets(params.threads, params.jobs);
  const sides = await openSides(params);
  const store = new MeasurementStore(path.join(params.cacheDir, 'bench', 'measured.jsonl'), params.resume);
  const context = { ...params, sides, store, facts: await gatherFacts(sides), results: path.join(params.root, 'bench', 'results') };
  let isWhole = true;
  for (const part of params.parts) isWhole = (await runs[part](context)) && isWhole;
  return isWhole;
}
