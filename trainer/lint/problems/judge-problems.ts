/** Problems of a recipe that depend on the reward model for its answers: whether it exists and gives rewards. */
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';
import { unusable } from './unusable-model.ts';

const REWARD_MODEL = ['eval_generation', 'reward_model'];

export function* judgeProblems({ judge, values }: RecipeView): Generator<Report> {
  if (judge === undefined || judge.kind === 'ready') return;
  if (judge.kind !== 'no-rewards') yield unusable(judge, values.eval_generation.reward_model ?? '', REWARD_MODEL);
  else yield { code: 'no-reward-model', path: REWARD_MODEL, message: `${judge.reason}: it gives answers no rewards` };
}
