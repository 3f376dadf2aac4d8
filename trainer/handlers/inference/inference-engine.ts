/** Opens the engine of a job that trains nothing: the engine of the request, or that of the run if its base is in host memory. */
import { engineCatalog, engineNames, plannedEngine } from '../../catalog/engines.ts';
import { isOneOf } from '../../catalog/entries.ts';
import { isThere } from '../../engine/choose-engine.ts';
import type { Engine } from '../../engine/engine.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { openJobEngine } from '../../job/open-base.ts';
import type { GenerateOptions } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { runRecipes } from './run-recipes.ts';

export type InferencePlace = Pick<GenerateOptions, 'engine' | 'baseOffload'>;

/**
 * Opens the engine.
 * @param runs folders that may be runs, or other adapters
 * @throws RunError 'unsupported' for an engine that keeps all weights on the device
 */
export async function openInferenceEngine(scope: JobScope, asked: InferencePlace, runs: readonly (string | undefined)[]): Promise<Engine> {
  const { engine, baseOffload } = await inferencePlace(scope, asked, runs);
  return openJobEngine(scope, engine, { baseOffload });
}

/** The engine and the place of the weights; an engine that the request names is kept. */
export async function inferencePlace(
  { job, context }: JobScope,
  asked: InferencePlace,
  runs: readonly (string | undefined)[],
): Promise<InferencePlace> {
  if (asked.baseOffload !== undefined) return asked;
  const recipe = await offloadedRecipe(runs);
  if (!recipe) return asked;
  const named = asked.engine === 'auto' ? (context.engineFromEnvironment ?? 'auto') : asked.engine;
  // An unknown engine is refused when the engine is chosen.
  if (named !== 'auto') return isOneOf(engineNames, named) ? placeFor(named, recipe) : asked;
  if (isThere(plannedEngine(recipe.engine), context.cacheDir)) {
    job.log('info', `engine: ${recipe.engine} and base_offload: ${recipe.base_offload}, as in the run`);
    return placeFor(recipe.engine, recipe);
  }
  job.log(
    'warning',
    `the run has base_offload: ${recipe.base_offload}, but its engine, ${recipe.engine}, is not installed here: all weights go to the memory of the compute device`,
  );
  return asked;
}

/** The place of a run's weights on an engine; none if the engine keeps all weights on the device. */
const placeFor = (engine: Recipe['engine'], { base_offload }: Pick<Recipe, 'base_offload'>): InferencePlace => ({
  engine,
  baseOffload: engineCatalog[plannedEngine(engine)].hostsWeights ? base_offload : 'none',
});

/** The recipe of the first run whose base is in host memory. */
async function offloadedRecipe(runs: readonly (string | undefined)[]): Promise<Recipe | undefined> {
  for await (const { recipe } of runRecipes(runs)) if (recipe.base_offload !== 'none') return recipe;
  return undefined;
}
