/** Parses recipes that were sent as text, and estimates the memory of their runs. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { plannedEngine } from '../catalog/engines.ts';
import { deviceHere } from '../engine/device-here.ts';
import { findComplete, repoFolder } from '../hub/hub-cache.ts';
import { USABLE_SHARE } from '../machine/machine.ts';
import { runMemory } from '../machine/run-memory.ts';
import { isHubName } from '../protocol/hub-name.ts';
import type { RecipeSource } from '../protocol/messages/rpc-messages.ts';
import { hasErrors } from '../protocol/problem.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { AskReader } from '../reader/reader.ts';
import { DaemonError } from './daemon-error.ts';
import { type Devices, wantedShare } from './jobs/device-shares.ts';
import type { NewJob } from './jobs/job-queue.ts';

/** @throws DaemonError 'bad-recipe' with all problems and their positions */
export async function recipeOf({ text, fileName, overrides = [] }: RecipeSource, reader: AskReader): Promise<Recipe> {
  const { recipe, problems } = await reader.ask('recipe', { text, fileName, overrides }, `Reading ${fileName}`);
  if (recipe && !hasErrors(problems)) return recipe;
  const errors = problems.filter(({ severity }) => severity === 'error');
  // The same mistake on several lines is one sentence.
  const messages = new Set(errors.map(({ message }) => message));
  throw new DaemonError('bad-recipe', `${fileName}: ${[...messages].join('; ')}`, { details: { problems } });
}

interface EstimateServices {
  readonly cacheDir: string;
  readonly reader: AskReader;
  availableBytes(): number;
}

/**
 * The memory of a run from headers alone, compared with the free memory.
 * @throws DaemonError 'model-missing' if the model is not on this machine yet
 */
export async function estimate(source: RecipeSource, { cacheDir, reader, ...services }: EstimateServices): Promise<unknown> {
  const recipe = await recipeOf(source, reader);
  const model = await modelPath(recipe, source.baseDir, cacheDir);
  const here = deviceHere(plannedEngine(recipe.engine), cacheDir);
  const { availableBytes, usableBytes, isPerDevice } = runMemory(here, services.availableBytes());
  const dataIn = { baseDir: source.baseDir, cacheDir };
  const params = {
    recipe,
    model,
    dataIn,
    ...here,
    usableBytes,
    isPerDevice,
    allLevels: true,
    compare: true,
    compiledIn: cacheDir,
  } as const;
  return { ...(await reader.ask('estimate', params, `Estimating the memory of ${source.fileName}`)), availableBytes };
}

/**
 * The threads, processes and share of a training. The share is the whole machine if the recipe leaves no part to others, or if its memory
 * is unknown.
 */
export async function partOf(
  recipe: Recipe,
  baseDir: string,
  { cacheDir, reader, devices, ...services }: EstimateServices & { readonly devices: Devices },
): Promise<Pick<NewJob, 'threads' | 'processes' | 'share'>> {
  const { threads, processes } = recipe;
  const wanted = wantedShare(recipe, devices);
  if (wanted === undefined) return { threads, processes };
  // A GPU has its own memory, and no other job uses this GPU.
  if (wanted.gpus > 0) return { threads, processes, share: { ...wanted, bytes: 0 } };
  try {
    const model = await modelPath(recipe, baseDir, cacheDir);
    const usableBytes = USABLE_SHARE * services.availableBytes();
    const params = { recipe, model, dataIn: { baseDir, cacheDir }, device: 'cpu', usableBytes } as const;
    const { runBytes } = await reader.ask('estimate', params, `Estimating the memory of ${model}`);
    return { threads, processes, share: { ...wanted, bytes: runBytes } };
  } catch {
    return { threads, processes };
  }
}

/** Memory for the engine and its caches when generating text, in addition to the weights in float32. */
const GENERATION_BYTES = 2 ** 30;

/** The memory for generating text, with all weights of the files, the encoder of images among them; undefined if the model is not on this machine yet. */
export async function generationBytes(
  source: Pick<Recipe, 'model' | 'revision'>,
  baseDir: string,
  { cacheDir, reader }: Pick<EstimateServices, 'cacheDir' | 'reader'>,
): Promise<number | undefined> {
  try {
    const model = await modelPath(source, baseDir, cacheDir);
    const { parameters } = await reader.ask('describe', { model }, `Reading ${model}`);
    return 4 * parameters + GENERATION_BYTES;
  } catch {
    return undefined;
  }
}

/** @throws DaemonError 'model-missing' if the model is neither a local path nor in the cache */
export async function modelPath(
  { model, revision }: Pick<Recipe, 'model' | 'revision'>,
  baseDir: string,
  cacheDir: string,
): Promise<string> {
  const local = path.resolve(baseDir, model);
  if (existsSync(local)) return local;
  const cached = isHubName(model) ? await findComplete(repoFolder(cacheDir, model), revision) : undefined;
  if (cached !== undefined) return cached;
  throw new DaemonError('model-missing', `${model} is neither in ${baseDir} nor in the cache`, {
    hint: 'Check the path. A model from the hub is downloaded on first use',
  });
}
