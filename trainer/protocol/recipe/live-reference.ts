/** Whether training reads the base model along with the one that is trained. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { referenceCatalog } from '../../catalog/references.ts';
import type { Recipe } from './recipe-schema.ts';

/** Returns whether the base reads each batch of training. */
export const readsBase = ({ task, preference: { reference } }: Pick<Recipe, 'task' | 'preference'>): boolean =>
  objectiveCatalog[task].compares?.usesReference === true && referenceCatalog[reference].whileTraining;
