/** The roles of a chat whose turns are trained. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Recipe } from './recipe-schema.ts';

/** True if a recipe can train some turns of chats and not others. False if every token is trained, or answers are compared. */
export const choosesTurns = ({ task, data }: Pick<Recipe, 'task' | 'data'>): boolean => {
  const { target, compares } = objectiveCatalog[task];
  return target === 'tokens' && compares === undefined && data.completion_only;
};

/** The trained roles; undefined for the default, the assistant alone. */
export function trainedRolesOf(recipe: Pick<Recipe, 'task' | 'data'>): readonly string[] | undefined {
  const roles = recipe.data.trained_roles;
  const isUsual = roles.length > 0 && roles.every(role => role === 'assistant');
  return choosesTurns(recipe) && !isUsual ? [...new Set(roles)] : undefined;
}
