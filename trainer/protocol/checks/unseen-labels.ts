/** Checks for labels that a recipe names and no training sample has; the linter and the trainer share this check. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';

const LISTED = 5;

/** The names that no sample has. Empty for an objective whose model has no output per label. */
export function unseenLabels(names: readonly string[], task: Recipe['task'], seen: readonly string[]): readonly string[] {
  if (!['label', 'labels', 'tags'].includes(objectiveCatalog[task].target)) return [];
  const known = new Set(seen);
  return names.filter(name => !known.has(name));
}

/** Describes these labels. @param unseen at least one name @param isNamed whether the recipe names them, not the data */
export function describeUnseen(unseen: readonly string[], task: Recipe['task'], isNamed: boolean): string {
  const noun = objectiveCatalog[task].target === 'tags' ? 'word' : 'sample';
  const [it, name] = unseen.length === 1 ? ['it', 'the name'] : ['them', 'the names'];
  return `${noSampleHas(unseen, noun)}, so the model only learns not to predict ${it}: add such ${noun}s${isNamed ? `, or remove ${name} from data.labels` : ''}`;
}

/** A phrase that names at most six of these labels. */
export function noSampleHas([first, ...more]: readonly string[], noun: 'sample' | 'word'): string {
  const others = more.length === 0 ? '' : `, nor ${more.slice(0, LISTED).join(', ')}${more.length > LISTED ? ' …' : ''}`;
  return `no training ${noun} has the label '${first ?? ''}'${others}`;
}
