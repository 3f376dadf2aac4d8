/** The checks of an answer that a model has written. */
import type { AnswerCheck } from '../../catalog/answer-checks.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { linearPattern } from '../../protocol/text/linear-pattern.ts';
import { rougeL } from './rouge.ts';

/** The score of an answer, 0 to 1. @param reference the answer of the sample */
export type CheckAnswer = (answer: string, reference: string) => number;

const checks: Readonly<Record<AnswerCheck, (pattern: (text: string) => boolean) => CheckAnswer>> = {
  exact_match: () => (answer, reference) => Number(answer.trim() === reference.trim()),
  rouge_l: () => (answer, reference) => rougeL(reference, answer),
  json: () => answer => Number(isJson(answer)),
  pattern: matches => answer => Number(matches(answer.trim())),
};

/** The checks that a recipe asks for, by name. @throws PatternError for a pattern that the recipe's schema would refuse */
export function checksOf({ checks: names, pattern = '' }: Recipe['eval_generation']): ReadonlyMap<AnswerCheck, CheckAnswer> {
  const matches = linearPattern(pattern);
  return new Map([...new Set(names)].map(name => [name, checks[name](matches)]));
}

/** Whether a text is one JSON object or array: a lone word or number would be valid JSON too. */
function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
