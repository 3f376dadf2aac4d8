/** A recipe that came as text: parsed, and the memory that its run would take. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { hasGpu, USABLE_SHARE } from '../engine/machine.ts';
import { findComplete, repoFolder } from '../hub/hub-cache.ts';
import { isHubName } from '../hub/hub-download.ts';
import { readModelHeaders } from '../hub/open-model.ts';
import type { EstimateWorker } from '../memory/estimate-worker.ts';
import { parseRecipe } from '../protocol/parse-recipe.ts';
import { hasErrors } from '../protocol/problem.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { RecipeSource } from '../protocol/rpc-messages.ts';
import { DaemonError } from './daemon-error.ts';
import { parameterCount } from './models.ts';

/** @throws DaemonError 'bad-recipe' with all problems and their places */
export function recipeOf({ text, fileName, overrides = [] }: RecipeSource): Recipe {
  const { recipe, problems } = parseRecipe(text, { fileName, overrides });
  if (recipe && !hasErrors(problems)) return recipe;
  const errors = problems.filter(({ severity }) => severity === 'error');
  throw new DaemonError('bad-recipe', `${fileName}: ${errors.map(({ message }) => message).join('; ')}`, { details: { problems } });
}

interface EstimateServices {
  readonly cacheDir: string;
  readonly estimator: EstimateWorker;
  availableBytes(): number;
}

/**
 * The memory of a run from headers alone, against what is free now.
 * @throws DaemonError 'model-missing' where the model is not on this machine yet
 */
export async function estimate(source: RecipeSource, { cacheDir, estimator, ...services }: EstimateServices): Promise<unknown> {
  const recipe = recipeOf(source);
  const { config, tensors } = await readModelHeaders(await modelPath(recipe, source.baseDir, cacheDir));
  const availableBytes = services.availableBytes();
  const device = hasGpu() ? 'gpu' : 'cpu';
  const usableBytes = USABLE_SHARE * availableBytes;
  const params = { recipe, headers: { config, tensors }, device, usableBytes, allLevels: true, compare: true } as const;
  return { ...(await estimator.run(params)), availableBytes };
}

/** What a model takes to generate text: its weights in float32, and the engine with its caches beside them. */
const GENERATION_BYTES = 2 ** 30;

/** Undefined where the model is not here yet: what it takes is not known. */
export async function generationBytes(
  source: Pick<Recipe, 'model' | 'revision'>,
  baseDir: string,
  cacheDir: string,
): Promise<number | undefined> {
  try {
    const { tensors } = await readModelHeaders(await modelPath(source, baseDir, cacheDir));
    return 4 * parameterCount(tensors.values()) + GENERATION_BYTES;
  } catch {
    return undefined;
  }
}

async function modelPath({ model, revision }: Pick<Recipe, 'model' | 'revision'>, baseDir: string, cacheDir: string): Promise<string> {
  const local = path.resolve(baseDir, model);
  if (existsSync(local)) return local;
  const cached = isHubName(model) ? await findComplete(repoFolder(cacheDir, model), revision) : undefined;
  if (cached !== undefined) return cached;
  throw new DaemonError('model-missing', `${model} is neither in ${baseDir} nor in the cache`, {
    hint: 'Check the path; a model of the hub is downloaded by its first use',
  });
}
