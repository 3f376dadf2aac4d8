/** A tiny BERT with a tokenizer and two data files, to train an encoder's task. */
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { cacheDir } from '../cache-dir.ts';
import { recipeOf } from './recipe-of.ts';
import { type TrainRun, trainRunsIn } from './run-in-process.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');

export interface EncoderTask {
  /** The folder, which the caller removes. */
  readonly folder: string;
  readonly context: { readonly cacheDir: string; readonly baseDir: string; readonly hub: { readonly offline: true } };
  readonly recipe: (...overrides: string[]) => Recipe;
  /** Trains a run in the folder. */
  readonly train: TrainRun;
}

/** @param task settings of the recipe @param files contents by name */
export function makeEncoderTask(task: readonly string[], files: Readonly<Record<string, string>>): EncoderTask {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-encoder-'));
  const context = { cacheDir, baseDir: folder, hub: { offline: true } } as const;
  for (const part of ['bert', 'tiny-tokenizer']) cpSync(join(golden, part), join(folder, 'model'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const settings = ['model=model', ...task, 'max_length=16', 'r=8'];
  const more = ['engine=portable', 'per_device_train_batch_size=4', 'eval_strategy="no"', 'importance.cache=false', 'save_strategy="no"'];
  const recipe = (...overrides: string[]): Recipe => recipeOf(...settings, ...more, ...overrides);
  return {
    folder,
    context,
    recipe,
    train: trainRunsIn(folder, context, recipe),
  };
}
