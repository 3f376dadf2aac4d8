/** The files that a recipe names in addition to its models and its data. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { namesOf } from '../../catalog/entries.ts';
import type { ResolvedRecipe } from '../../protocol/recipe/recipe-schema.ts';
import { nearbyName } from './model-facts.ts';

/** A file that does not exist. */
export interface MissingFile {
  /** The setting that names it. */
  readonly path: readonly string[];
  readonly written: string;
  /** The most similar name in the same folder. */
  readonly suggestion?: string | undefined;
}

/** Finds those that do not exist. Never rejects. */
export async function missingFiles(values: ResolvedRecipe, baseDir: string): Promise<readonly MissingFile[]> {
  const { benchmarks, distillation } = values;
  const named = [
    ...namesOf(benchmarks).map(name => [['benchmarks', name], benchmarks[name]] as const),
    ...(['logits', 'eval_logits'] as const).map(name => [['distillation', name], distillation[name]] as const),
  ];
  const found = await Promise.all(named.map(([setting, written]) => missing(setting, written, baseDir)));
  return found.flatMap(file => file ?? []);
}

async function missing(setting: readonly string[], written: string | undefined, baseDir: string): Promise<MissingFile | undefined> {
  if (written === undefined) return undefined;
  const full = path.resolve(baseDir, written);
  if (await stat(full).catch(() => undefined)) return undefined;
  return { path: setting, written, suggestion: await nearbyName(written, full).catch(() => undefined) };
}
