/** Checks before anything is trained that all processes of a run would train the same. */
import type { DataDigest } from '../../data/data-digest.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import type { Base } from '../../job/open-base.ts';
import { stringifyRecipe } from '../../protocol/stringify-recipe.ts';
import { RunError } from '../../run-error.ts';

/** Facts that must be equal, by the name that an error gives it. */
type Facts = Readonly<Record<string, string>>;

/** @throws RunError 'ranks-differ' that names the first rank that differs, and in what */
export function checkRanksAgree({ recipe, ranks }: RecipeScope, { fingerprint, engine }: Base, data: DataDigest): void {
  if (!ranks) return;
  const { versions, fuses, name } = engine.description;
  const all = ranks.all<Facts>({
    recipe: stringifyRecipe({ ...recipe, threads: 0, output_dir: undefined }),
    'base model': fingerprint,
    'training data': JSON.stringify(data.train),
    'held-out data': JSON.stringify(data.held),
    engine: JSON.stringify([name, versions.tensorflow, fuses]),
  });
  const [first = {}] = all;
  for (const [rank, facts] of all.entries()) {
    const differing = Object.keys(first).filter(key => facts[key] !== first[key]);
    if (differing.length === 0) continue;
    throw new RunError(
      'ranks-differ',
      `rank ${rank} has another ${differing.join(' and another ')} than rank 0: ${differing.map(key => difference(key, first[key] ?? '', facts[key] ?? '')).join('; ')}`,
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
