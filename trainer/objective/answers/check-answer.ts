/** Checks for answers that a model has written. */
import type { AnswerCheck } from '../../catalog/answer-checks.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { linearPattern } from '../../protocol/text/linear-pattern.ts';
import { rougeL } from './rouge.ts';

/** Returns the score of an answer, 0 to 1. @param reference the answer in the sample */
export type CheckAnswer = (answer: string, reference: string) => number;

const checks: Readonly<Record<AnswerCheck, (pattern: (text: string) => boolean) => CheckAnswer>> = {
  exact_match: () => (answer, reference) => Number(answer.trim() === reference.trim()),
  rouge_l: () => (answer, reference) => rougeL(reference, answer),
  json: () => answer => Number(isJson(answer)),
  pattern: matches => answer => Number(matches(answer.trim())),
};

/** The checks that a recipe requests, by name. @throws PatternError for a pattern that the recipe's schema would refuse */
export function checksOf({ checks: names, pattern = '' }: Recipe['eval_generation']): ReadonlyMap<AnswerCheck, CheckAnswer> {
  const matches = linearPattern(pattern);
  return new Map([...new Set(names)].map(name => [name, checks[name](matches)]));
}

/** True if a text is one JSON object or array. A lone word or number would be valid JSON too, but does not count. */
function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
