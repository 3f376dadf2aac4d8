/** Rules about answers that the model generates during an evaluation. */
import { answerChecks, REWARD } from '../../../catalog/answer-checks.ts';
import { isOneOf, namesOf, orList } from '../../../catalog/entries.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import { grouped } from '../../text/format.ts';
import type { Recipe } from '../recipe-schema.ts';
import { trainedRolesOf } from '../trained-roles.ts';
import type { Rule } from './rule.ts';

/** Number of tokens above which a warning appears: twenty times the default. */
const MANY_TOKENS = 20_000;

/** True if an evaluation has the model generate answers, for checks or for a reward model. */
export const writesAnswers = ({
  task,
  eval_generation: { checks, reward_model: judge },
}: Pick<Recipe, 'task' | 'eval_generation'>): boolean =>
  objectiveCatalog[task].model === 'causal' && (checks.length > 0 || judge !== undefined);

/** The reward model that scores answers; undefined if none does. */
export const rewardModelOf = (recipe: Pick<Recipe, 'task' | 'eval_generation'>): string | undefined =>
  writesAnswers(recipe) ? recipe.eval_generation.reward_model : undefined;

/** The setting that makes an evaluation generate answers. */
const asksAt = ({ eval_generation: { checks } }: Recipe) => (checks.length > 0 ? 'eval_generation.checks' : 'eval_generation.reward_model');

export const generationRules: readonly Rule[] = [
  {
    code: 'no-pattern',
    severity: 'error',
    doc: 'The check of a pattern has a pattern.',
    reads: ['task', 'eval_generation.checks', 'eval_generation.pattern'],
    check: recipe => {
      const check = recipe.eval_generation.checks.find(name => answerChecks[name].readsPattern);
      const writes = objectiveCatalog[recipe.task].model === 'causal';
      return writes && check !== undefined && recipe.eval_generation.pattern === undefined
        ? { at: 'eval_generation.checks', message: `the check '${check}' needs a regular expression: set eval_generation.pattern` }
        : undefined;
    },
  },
  {
    code: 'no-held-out-prompts',
    severity: 'error',
    doc: 'Answers are written to held-out prompts.',
    reads: ['task', 'eval_generation.checks', 'eval_generation.reward_model', 'data.eval', 'val_size'],
    check: recipe =>
      writesAnswers(recipe) && recipe.data.eval.length === 0 && recipe.val_size === 0
        ? {
            at: asksAt(recipe),
            message: "there are no held-out prompts to answer: set 'data.eval' or 'val_size'",
          }
        : undefined,
  },
  {
    code: 'prompts-with-reasoning',
    severity: 'error',
    doc: 'A held-out prompt ends where training begins; behind the reasoning of a sample it would give the answer away.',
    reads: ['task', 'eval_generation.checks', 'eval_generation.reward_model', 'data.train_reasoning'],
    check: recipe =>
      writesAnswers(recipe) && !recipe.data.train_reasoning
        ? {
            at: asksAt(recipe),
            message:
              "answers can't be written to held-out prompts with 'data.train_reasoning: false': the prompts would hold the reasoning",
          }
        : undefined,
  },
  {
    code: 'prompts-without-answers',
    severity: 'error',
    doc: 'A held-out prompt ends where a trained answer begins.',
    reads: ['task', 'eval_generation.checks', 'eval_generation.reward_model', 'data.trained_roles', 'data.completion_only'],
    check: recipe => {
      const roles = trainedRolesOf(recipe);
      return writesAnswers(recipe) && roles?.length && !roles.includes('assistant')
        ? {
            at: asksAt(recipe),
            message: "answers are written in place of trained ones: add 'assistant' to 'data.trained_roles'",
          }
        : undefined;
    },
  },
  {
    code: 'metric-not-checked',
    severity: 'error',
    doc: 'A metric of written answers is among the checks of the evaluation.',
    reads: ['task', 'metric_for_best_model', 'eval_generation.checks'],
    check: ({ task, metric_for_best_model: metric, eval_generation: { checks } }) =>
      objectiveCatalog[task].model === 'causal' && isOneOf(namesOf(answerChecks), metric) && !checks.includes(metric)
        ? {
            at: 'metric_for_best_model',
            message: `'${metric}' is only known if answers are checked for it: add it to eval_generation.checks`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          }
        : undefined,
  },
  {
    code: 'metric-not-scored',
    severity: 'error',
    doc: 'A reward that selects the best checkpoint has a reward model.',
    reads: ['task', 'metric_for_best_model', 'eval_generation.reward_model'],
    check: recipe =>
      objectiveCatalog[recipe.task].model === 'causal' && recipe.metric_for_best_model === REWARD && rewardModelOf(recipe) === undefined
        ? {
            at: 'metric_for_best_model',
            message: `'${REWARD}' is only known if a reward model scores the answers: set eval_generation.reward_model`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          }
        : undefined,
  },
  {
    code: 'long-evaluation',
    severity: 'warning',
    doc: `An evaluation writes at most ${grouped(MANY_TOKENS)} tokens.`,
    reads: [
      'task',
      'eval_generation.checks',
      'eval_generation.reward_model',
      'eval_generation.max_samples',
      'eval_generation.max_new_tokens',
    ],
    check: recipe => {
      const { max_samples: samples, max_new_tokens: tokens } = recipe.eval_generation;
      return writesAnswers(recipe) && samples * tokens > MANY_TOKENS
        ? {
            at: 'eval_generation.max_samples',
            message: `each evaluation writes up to ${grouped(samples * tokens)} tokens, one after the other (${grouped(samples)} answers of ${grouped(tokens)}): it can take longer than the training between two of them`,
          }
        : undefined;
    },
  },
];

/** The names of the checks that use the pattern, for people. */
export const patternChecks = orList(namesOf(answerChecks).filter(name => answerChecks[name].readsPattern));
