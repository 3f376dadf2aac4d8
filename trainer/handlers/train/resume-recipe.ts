/** Which settings may change when a run goes on: those that leave every number up to here as it was. */
import { isDeepStrictEqual } from 'node:util';
import { parseRecipe } from '../../protocol/parse-recipe.ts';
import { type Recipe, settings } from '../../protocol/recipe-schema.ts';
import type { TrainerState } from '../../run/checkpoint/checkpoint.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { readRunRecipe } from '../../run/run-folder.ts';
import { RunError } from '../../run-error.ts';

/** How long, how often, how much is kept, and how it is computed. */
const CHANGEABLE: readonly string[] = [
  'max_steps',
  'num_train_epochs',
  'logging_steps',
  'eval_strategy',
  'eval_steps',
  'save_strategy',
  'save_steps',
  'save_total_limit',
  'early_stopping_patience',
  'early_stopping_threshold',
  'recompute',
  'optimizer_offload',
  'threads',
  // A run that a bad image ended could not go on otherwise.
  'data.bad_images',
];

/** What is of no account for a run that has begun. */
const WITHOUT_EFFECT: readonly string[] = ['name', 'output_dir', 'overwrite_output_dir'];

/** @throws RunError 'invalid-override' for an override of any other setting, or one that is wrong */
export async function readResumeRecipe(runDir: string, overrides: readonly string[]): Promise<Recipe> {
  const refused = overrides.map(override => override.split('=', 1)[0]?.trim() ?? '').filter(key => !CHANGEABLE.includes(key));
  if (refused.length > 0)
    throw new RunError(
      'invalid-override',
      `a run that goes on can't change ${refused.join(', ')}`,
      `It may change ${CHANGEABLE.join(', ')}; for anything else start a new run`,
    );
  return readRunRecipe(runDir, overrides);
}

/**
 * The recipe with the meaning that its words had when the run began. A checkpoint's recipe has every setting written out, so a setting that
 * is missing there did not exist yet, and the run behaved as these values say.
 */
export function asBegun<R extends { readonly lr_scheduler_type?: unknown }>(recipe: R, { recipe: begun }: Pick<TrainerState, 'recipe'>): R {
  const knew = (name: string): boolean => new RegExp(`^${name}:`, 'm').test(begun);
  return {
    ...recipe,
    ...(knew('decay_norms_and_biases') ? {} : { decay_norms_and_biases: true }),
    ...(knew('group_by_length') ? {} : { group_by_length: true }),
    ...(!knew('lr_scheduler_kwargs') && recipe.lr_scheduler_type === 'constant' ? { lr_scheduler_type: 'constant_with_warmup' } : {}),
  };
}

/** @throws RunError 'checkpoint-mismatch' that names every setting of recipe.yaml that was changed since the checkpoint and may not */
export function checkUnchanged({ state, folder }: Pick<Checkpoint, 'state' | 'folder'>, given: Recipe): void {
  const before = asBegun(parseRecipe(state.recipe).resolved, state);
  const recipe = asBegun(given, state);
  const free = new Set([...CHANGEABLE, ...WITHOUT_EFFECT]);
  const changed = Object.keys(settings).filter(path => !free.has(path) && !isDeepStrictEqual(valueAt(before, path), valueAt(recipe, path)));
  if (changed.length === 0) return;
  const shown = changed.map(path => `${path} (${show(valueAt(before, path))}, now ${show(valueAt(recipe, path))})`);
  throw new RunError(
    'checkpoint-mismatch',
    `the recipe of the run is not that of ${folder}: ${shown.join(', ')}`,
    'Put the old values back, or start a new run',
  );
}

function valueAt(recipe: object, path: string): unknown {
  let value: unknown = recipe;
  for (const key of path.split('.'))
    value = value !== null && typeof value === 'object' ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
  return value;
}

const show = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
