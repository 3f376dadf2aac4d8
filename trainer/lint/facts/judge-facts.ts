/** Facts about the reward model that scores a recipe's answers: a run, or a model folder. */
import path from 'node:path';
import { givesRewards, objectiveCatalog } from '../../catalog/objectives.ts';
import { type Model, scoresTexts } from '../../model/model-spec.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { hasCheckpoint } from '../../run/has-checkpoint.ts';
import { isRunFolder, readRunRecipe } from '../../run/run-folder.ts';
import type { ModelCache, ModelFacts } from './model-facts.ts';

/** Facts about its base model, or the reason why it gives no rewards. */
export type JudgeFacts = ModelFacts | { readonly kind: 'no-rewards'; readonly reason: string };

/** Reads the facts. Never rejects. */
export async function readJudgeFacts(name: string, models: ModelCache, baseDir: string): Promise<JudgeFacts> {
  const local = path.resolve(baseDir, name);
  if (await isRunFolder(local)) {
    const recipe = await readRunRecipe(local).catch(messageOf);
    if (typeof recipe === 'string') return { kind: 'no-rewards', reason: recipe };
    if (!givesRewards(recipe.task))
      return { kind: 'no-rewards', reason: `this is a run of the task ${recipe.task} (${objectiveCatalog[recipe.task].label})` };
    if (!hasCheckpoint(local)) return { kind: 'no-rewards', reason: 'this run has no checkpoint yet' };
    return models.look(recipe.model, recipe.revision, local);
  }
  const found = await models.look(name, 'main', baseDir);
  if (found.kind !== 'ready' || (scoresTexts(found.model) && !hasNewHead(found.model))) return found;
  return { kind: 'no-rewards', reason: `this ${found.model.family} has no head of one number for a text` };
}

/** True if the weight file has no head, so that it would be a randomly initialized one. */
export const hasNewHead = ({ parameters }: Model): boolean => parameters.some(({ initial }) => initial !== undefined);
