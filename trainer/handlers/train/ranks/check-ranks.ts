/** Checks before training that all processes of a run would train the same model in the same way. */
import os from 'node:os';
import manifest from '../../../../package.json' with { type: 'json' };
import type { DataDigest } from '../../../data/data-digest.ts';
import type { RecipeScope } from '../../../job/job-scope.ts';
import type { Base } from '../../../job/open-base.ts';
import type { Ranks } from '../../../job/ranks.ts';
import { globalBatchText } from '../../../protocol/recipe/global-batch.ts';
import { stringifyRecipe } from '../../../protocol/recipe/stringify-recipe.ts';
import { RunError } from '../../../run-error.ts';

/** Facts that must be equal on all ranks, by their names in an error. */
type Facts = Readonly<Record<string, string>>;

/**
 * Reports the batch size over all processes or devices, and checks everything that is known before the model is opened.
 * @throws RunError 'ranks-differ'
 */
export function checkRecipesAgree({ recipe, ranks, job }: RecipeScope): void {
  if (ranks || recipe.devices > 1) job.log('info', `each update averages over ${globalBatchText(recipe)}`);
  const settings = stringifyRecipe({ ...recipe, threads: 0, output_dir: undefined });
  checkAgree(ranks, { 'version of Rowtune': manifest.version, recipe: settings });
}

/** Checks everything that is known before anything is computed. @throws RunError 'ranks-differ' */
export function checkRanksAgree({ ranks }: RecipeScope, { fingerprint, engine }: Base, data: DataDigest): void {
  const { versions, fuses, name } = engine.description;
  checkAgree(ranks, {
    'base model': fingerprint,
    'training data': JSON.stringify(data.train),
    'held-out data': JSON.stringify(data.held),
    engine: JSON.stringify([name, versions.tensorflow, fuses]),
  });
}

/** @throws RunError 'ranks-differ' that names the first rank that differs, its machine, and the difference */
function checkAgree(ranks: Ranks | undefined, own: Facts): void {
  const all = ranks?.all<{ readonly host: string; readonly facts: Facts }>({ host: os.hostname(), facts: own }) ?? [];
  const [first] = all;
  for (const [rank, { host, facts }] of all.entries()) {
    const expected = first?.facts ?? {};
    const differing = Object.keys(expected).filter(key => facts[key] !== expected[key]);
    if (differing.length === 0) continue;
    const place = host === first?.host ? `rank ${rank}` : `rank ${rank} (on ${host})`;
    throw new RunError(
      'ranks-differ',
      `${place} has a different ${differing.join(' and a different ')} from rank 0: ${differing.map(key => difference(key, expected[key] ?? '', facts[key] ?? '')).join('; ')}`,
      'Start all processes with the same recipe, data, model and version of Rowtune',
    );
  }
}

/** The first line that differs. */
function difference(name: string, one: string, other: string): string {
  const [a, b] = [one.split('\n'), other.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  const shown = (lines: readonly string[]): string => JSON.stringify((lines[Math.max(0, at)] ?? '').slice(0, 100));
  return `${name}: ${shown(b)} instead of ${shown(a)}`;
}
