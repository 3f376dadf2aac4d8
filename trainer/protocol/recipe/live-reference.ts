/** Whether training also runs the base model. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { referenceCatalog } from '../../catalog/references.ts';
import type { Recipe } from './recipe-schema.ts';

/** True if the base model processes each batch of training. */
export const readsBase = ({ task, preference: { reference } }: Pick<Recipe, 'task' | 'preference'>): boolean =>
  objectiveCatalog[task].compares?.usesReference === true && referenceCatalog[reference].whileTraining;
