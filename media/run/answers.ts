/** Rows of answers to held-out prompts. Pure. */
import { formatOf, shortLabelOf } from '../shared/metric-names.ts';
import type { WrittenAnswers } from '../shared/written-answers.ts';

/** A held-out prompt with what was written to it. */
export interface AnswerRow {
  readonly prompt: string;
  readonly reference: string;
  /** By the original model, if it was asked. */
  readonly before: string | undefined;
  readonly after: string;
  /** "Exact answers 1, ROUGE-L 0.5". */
  readonly scores: string;
  /** All checks give 1. */
  readonly isPerfect: boolean;
}

/** All evaluations answer the same prompts in the same order; where they do not, the newer stand alone. */
export function answerRows(answers: WrittenAnswers, step: number): AnswerRow[] {
  const original = answers.at(0);
  return answers.at(step).map(({ prompt, reference, answer, scores }, i) => ({
    prompt,
    reference,
    before: original[i]?.prompt === prompt ? original[i]?.answer : undefined,
    after: answer,
    scores: Object.entries(scores)
      .map(([name, score]) => `${shortLabelOf(`eval_${name}`)} ${formatOf(name)(score)}`)
      .join(', '),
    isPerfect: Object.values(scores).every(score => score === 1),
  }));
}
