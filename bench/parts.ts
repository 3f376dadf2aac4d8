/** The parts of the benchmark beyond the comparison on SmolLM2, with the same sides and in the same process. */
import path from 'node:path';
import { runFrontier } from './frontier/frontier.ts';
import { runGpu } from './gpu/gpu.ts';
import { GPU_MODELS } from './gpu/gpu-plan.ts';
import { runLong } from './long.ts';
import { gatherFacts, openSides } from './main.ts';
import { MeasurementStore } from './measurements.ts';
import type { Part, PartContext, PartsParams } from './part.ts';
import { runPrecision } from './precision.ts';
import { runPreferences } from './preferences/preferences.ts';
import { coreSets } from './run-side.ts';
import { runScale } from './scale/scale.ts';
import { writeScaleModel } from './scale/scale-model.ts';
import { runServe } from './serve/serve.ts';
import { runSweep } from './sweep.ts';
import { runLoad } from './true-size/load.ts';
import { runTrueSize } from './true-size/true-size.ts';

const runs: Readonly<Record<Part, (context: PartContext) => Promise<boolean>>> = {
  frontier: runFrontier,
  long: runLong,
  sweep: runSweep,
  precision: runPrecision,
  load: runLoad,
  serve: runServe,
  preferences: runPreferences,
  'true-size': runTrueSize,
  // The cost model is fitted to these measurements.
  scale: async context => (await runScale(context)) && (await writeScaleModel(context)),
  'scale-model': writeScaleModel,
  gpu: context => runGpu({ ...context, models: GPU_MODELS, checks: {} }),
};

/** @returns false if something could not be measured */
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
