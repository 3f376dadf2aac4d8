/** The settings that may change on resume: those that keep every earlier result valid. */
import { isDeepStrictEqual } from 'node:util';
import { partsOfBatch } from '../../protocol/recipe/global-batch.ts';
import { ownSettings } from '../../protocol/recipe/own-settings.ts';
import { parseRecipe } from '../../protocol/recipe/parse-recipe.ts';
import { type Recipe, settings, settingValue } from '../../protocol/recipe/recipe-schema.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import type { TrainerState } from '../../run/checkpoint/checkpoint.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { readRunRecipe } from '../../run/run-folder.ts';
import { RunError } from '../../run-error.ts';

/** Settings of length, frequency, retention, execution, and paths: weights and data are compared with those with which the run began. */
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
  'base_offload',
  'attention',
  'threads',
  'processes',
  'devices',
  // Otherwise a run that ended because of a bad image could not resume.
  'data.bad_images',
  'model',
  'data.train',
  'data.eval',
];

/** @throws RunError 'invalid-override' for an override of any other setting, or an invalid one */
export async function readResumeRecipe(runDir: string, overrides: readonly string[]): Promise<Recipe> {
  const refused = overrides.map(override => override.split('=', 1)[0]?.trim() ?? '').filter(key => !CHANGEABLE.includes(key));
  if (refused.length > 0)
    throw new RunError(
      'invalid-override',
      `a resumed run can't change ${refused.join(', ')}`,
      `It can change ${CHANGEABLE.join(', ')}; start a new run for other changes`,
    );
  const recipe = await readRunRecipe(runDir, overrides);
  return overrides.length === 0 ? recipe : withSameBatch(recipe, await readRunRecipe(runDir, []));
}

type Batching = Pick<Recipe, 'processes' | 'devices' | 'per_device_train_batch_size'>;

/** The number of rows in a batch over all processes and devices, which determines the sequence of samples. */
const rowsOfBatch = (recipe: Batching): number => partsOfBatch(recipe) * recipe.per_device_train_batch_size;

/**
 * The recipe for another number of processes or devices, each of which takes its part of the same batches.
 * @throws RunError 'invalid-override' if the batches cannot be divided
 */
function withSameBatch(recipe: Recipe, before: Recipe): Recipe {
  const parts = partsOfBatch(recipe);
  const each = rowsOfBatch(before) / parts;
  if (parts === partsOfBatch(before)) return recipe;
  if (Number.isInteger(each)) return { ...recipe, per_device_train_batch_size: each };
  throw new RunError(
    'invalid-override',
    `the batches of this run have ${rowsOfBatch(before)} rows, which ${parts} ${recipe.devices > 1 ? 'devices' : 'processes'} cannot divide evenly`,
    'Choose a number of processes or devices that divides the rows of a batch, so that the run continues with the same batches',
  );
}

/**
 * The recipe as it was interpreted when the run began. A checkpoint's recipe contains every setting, so a missing one did not exist yet,
 * and the run used these values.
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

/** @throws RunError 'checkpoint-mismatch' that lists every setting of recipe.yaml that changed since the checkpoint and must not change */
export function checkUnchanged({ state, folder }: Pick<Checkpoint, 'state' | 'folder'>, given: Recipe): void {
  const before = asBegun(parseRecipe(state.recipe).resolved, state);
  const recipe = asBegun(given, state);
  const free = new Set([...CHANGEABLE, ...ownSettings]);
  const numberOf = (setting: string): number => Number(settingValue(before, setting) ?? 1);
  const rowsBefore = numberOf('processes') * numberOf('devices') * numberOf('per_device_train_batch_size');
  if (rowsBefore === rowsOfBatch(recipe)) free.add('per_device_train_batch_size');
  const changed = Object.keys(settings).filter(
    path => !free.has(path) && !isDeepStrictEqual(settingValue(before, path), settingValue(recipe, path)),
  );
  if (changed.length === 0) return;
  const shown = changed.map(path => `${path} (${show(settingValue(before, path))}, now ${show(settingValue(recipe, path))})`);
  throw new RunError(
    'checkpoint-mismatch',
    `the recipe of the run differs from that of ${folder}: ${shown.join(', ')}`,
    'Restore the old values, or start a new run',
  );
}

/** @throws RunError 'nothing-left' if the run would end before its checkpoint, or a finished run has no update left */
export function checkUpdatesLeft(
  { runDir, wasFinished = false }: { readonly runDir: string; readonly wasFinished?: boolean | undefined },
  checkpoint: Pick<Checkpoint, 'state'> | undefined,
  totalSteps: number,
): void {
  const step = checkpoint?.state.step ?? 0;
  if (step > totalSteps)
    throw new RunError(
      'nothing-left',
      `the run in ${runDir} has completed ${step} updates and cannot end after ${totalSteps}`,
      'Resume it with a larger max_steps or num_train_epochs; for a shorter run, train again',
    );
  if (!wasFinished || checkpoint === undefined || step < totalSteps) return;
  throw new RunError(
    'nothing-left',
    `the run in ${runDir} has completed all of its ${totalSteps} updates`,
    `To extend it, raise max_steps or num_train_epochs, for example: rowtune resume ${shellWord(runDir)} max_steps=${2 * totalSteps}`,
  );
}

const show = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
