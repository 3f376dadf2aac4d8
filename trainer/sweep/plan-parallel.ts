/** Computes how many runs of a sweep fit in memory at the same time, from the headers of their models. */
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chooseEngine } from '../engine/choose-engine.ts';
import { deviceHere } from '../engine/device-here.ts';
import { type ModelHeaders, readModelHeaders } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openModelFolder } from '../job/open-base.ts';
import { availableMemoryBytes } from '../machine/machine.ts';
import { runMemory } from '../machine/run-memory.ts';
import { estimateRecipe } from '../plan/memory/predict.ts';
import { seesImages } from '../plan/sees-images.ts';
import { partsOfBatch } from '../protocol/recipe/global-batch.ts';
import { type Recipe, settings, settingValue } from '../protocol/recipe/recipe-schema.ts';
import { byteSize } from '../protocol/text/format.ts';
import { describeFailure, RunError } from '../run-error.ts';
import type { ParallelPlan } from './create-sweep.ts';
import { sweepGpus } from './gpu-shares.ts';
import { UNFIT_VALUES } from './train-segment.ts';

/** Minimum number of cores per run: with fewer, two simultaneous runs are slower than two consecutive ones. */
const CORES_EACH = 2;
/** Maximum number of processes per GPU: more would only wait for each other. */
const MAX_ON_GPU = 4;

/** The devices that the runs of a sweep share. */
export interface SweepDevices {
  readonly cores: number;
  readonly gpus: number;
}

/** Returns the number of simultaneous runs that leaves each of their processes a core, or a slot on a GPU. */
export function runsByDevices(processes: number, { cores, gpus }: SweepDevices): number {
  if (gpus === 0) return Math.max(1, Math.floor(cores / Math.max(CORES_EACH, processes)));
  return Math.max(1, Math.floor((MAX_ON_GPU * gpus) / processes));
}

export interface ParallelParams extends JobScope {
  readonly recipes: readonly Recipe[];
  /** The user's choice. */
  readonly wanted?: number;
}

interface Need {
  /** Memory of all processes of a run. */
  readonly runBytes: number;
  readonly recompute: string;
}

export async function planParallel({ recipes, wanted, context, job }: ParallelParams): Promise<ParallelPlan> {
  const headers = headersReader({ context, job });
  const engine = chooseEngine({
    requested: recipes[0]?.engine ?? 'auto',
    fromEnvironment: context.engineFromEnvironment,
    cacheDir: context.cacheDir,
  }).name;
  const here = deviceHere(engine, context.cacheDir);
  const { usableBytes: usable, isPerDevice } = runMemory(here, availableMemoryBytes());
  const estimateOf = async (recipe: Recipe): Promise<Need> => {
    const own = await headers(recipe);
    const sees = await seesImages(recipe, own.config, context);
    return estimateOfRun({ recipe, headers: own, seesImages: sees, engine, ...here, isPerDevice, usableBytes: usable / (wanted ?? 1) });
  };
  const estimates = new Map<string, Need>();
  const found: Need[] = [];
  for (const recipe of recipes) {
    job.checkStop();
    const key = memoryKey(recipe);
    const estimate: Need = estimates.get(key) ?? (await estimateOf(recipe));
    estimates.set(key, { runBytes: estimate.runBytes, recompute: estimate.recompute });
    found.push(estimate);
    // A large sweep over sizes computes many estimates: a stop request must not wait for all of them.
    await job.yieldToEvents();
  }
  const largest = Math.max(...found.map(({ runBytes }) => runBytes));
  const cores = os.availableParallelism();
  const processes = recipes[0]?.processes ?? 1;
  const parts = recipes[0] ? partsOfBatch(recipes[0]) : 1;
  const gpus = here.device === 'gpu' ? sweepGpus().length || 1 : 0;
  const byDevices = runsByDevices(parts, { cores, gpus });
  // Where processes have separate memory, as on GPUs, an allocator takes all of its share, so each run needs its own GPU.
  const byMemory = isPerDevice ? Math.max(1, gpus) : Math.max(1, Math.floor(usable / largest));
  const parallel = Math.min(wanted ?? Math.min(byMemory, byDevices), recipes.length);
  const of = processes === 1 ? '' : ` of ${processes} processes each`;
  job.log(
    'info',
    `${parallel} of ${recipes.length} runs${of} at a time; a run needs up to ${byteSize(largest)}, and ${byteSize(usable)} may be used`,
  );
  if (!isPerDevice && parallel * largest > usable)
    job.log('warning', `${parallel} runs need about ${byteSize(parallel * largest)}, more than the ${byteSize(usable)} that may be used`);
  return {
    parallel,
    fixed: recipes.map((recipe, index) => [
      ...(recipe.recompute === 'auto' ? [`recompute=${found[index]?.recompute}`] : []),
      // With as many threads as a single run would use, the runs would only compete.
      ...(recipe.threads === 0 && parallel > 1 ? [`threads=${Math.max(1, Math.floor(cores / (parallel * processes)))}`] : []),
    ]),
  };
}

/** Estimates a run. @throws RunError 'bad-sweep' if its values do not fit the model */
function estimateOfRun(params: Parameters<typeof estimateRecipe>[0]): Need {
  try {
    return estimateRecipe(params);
  } catch (error) {
    const { code, message } = describeFailure(error).event;
    if (!UNFIT_VALUES.includes(code)) throw error;
    throw new RunError('bad-sweep', `run '${params.recipe.name}': ${message}`, 'Change sweep.over, so that all values fit');
  }
}

/** Returns a key of the settings that change memory, as marked in their declaration; recipes with the same key share an estimate. */
function memoryKey(recipe: Recipe): string {
  return JSON.stringify(
    Object.entries(settings).flatMap(([name, { memory }]) =>
      memory === undefined && name !== 'task' && name !== 'revision' ? [] : [[name, settingValue(recipe, name)]],
    ),
  );
}

/** Reads the headers of each model once; downloads a model from the hub, since its runs need it anyway. */
function headersReader(scope: JobScope): (recipe: Recipe) => Promise<ModelHeaders> {
  const known = new Map<string, ModelHeaders>();
  return async ({ model, revision }) => {
    const key = `${model}@${revision}`;
    const found = known.get(key) ?? (await readHeaders(model, revision));
    known.set(key, found);
    return found;
  };

  async function readHeaders(model: string, revision: string): Promise<ModelHeaders> {
    const local = path.resolve(scope.context.baseDir, model);
    if (existsSync(local)) return readModelHeaders(local);
    const folder = await openModelFolder(scope, { model, revision });
    await folder.weights.close();
    return { config: folder.config, tensors: folder.weights.tensors };
  }
}
