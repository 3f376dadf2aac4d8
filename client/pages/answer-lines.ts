/** Parses lines of answers.jsonl for a page. */
import { z } from 'zod';
import type { AnswersPatch, StepAnswer } from '../../trainer/protocol/view/run.ts';

/** Maximum length of a shown text: the end of a prompt, or the beginning of an answer. */
const MAX_CHARACTERS = 2000;

const start = z.string().transform(text => text.slice(0, MAX_CHARACTERS));

/** A score; null, JSON's form of a NaN from a broken reward model, becomes undefined. */
const number = z
  .number()
  .nullish()
  .transform(value => value ?? undefined);

const answerSchema: z.ZodType<StepAnswer> = z.object({
  step: z.number(),
  prompt: z.string().transform(text => text.slice(-MAX_CHARACTERS)),
  reference: start,
  answer: start,
  scores: z.record(z.string(), z.number()),
  reward: number,
  baseReward: number,
});

/** Parses the lines; skips those that are not answers. */
export const answersPatch = (lines: readonly string[], reset: boolean): AnswersPatch => ({
  type: 'answers',
  reset,
  answers: lines.flatMap(line => answerOf(line) ?? []),
});

function answerOf(line: string): StepAnswer | undefined {
  try {
    return answerSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
