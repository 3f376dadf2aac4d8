/** The rows of the table of answers to held-out prompts. Pure. */
import { compact } from '../../trainer/protocol/text/format.ts';
import { formatOf, shortLabelOf } from '../../trainer/protocol/text/metric-text.ts';
import type { WrittenAnswers } from '../shared/written-answers.ts';

/** A held-out prompt and its answers. */
export interface AnswerRow {
  readonly prompt: string;
  readonly reference: string;
  /** The original model's answer, if it was evaluated. */
  readonly before: string | undefined;
  readonly after: string;
  /** The scores of the answer: "Exact answers 1, ROUGE-L 0.5". */
  readonly scores: string;
  /** "0.52, before −1.2"; empty if no reward model scored the answer. */
  readonly reward: string;
  /** True if all checks give 1 and the reward is not below that of the original model's answer. */
  readonly isPerfect: boolean;
}

/**
 * Returns the rows of an evaluation. All evaluations answer the same prompts in the same order; if they differ, only the newer answer is
 * shown.
 */
export function answerRows(answers: WrittenAnswers, step: number): AnswerRow[] {
  const original = answers.at(0);
  return answers.at(step).map(({ prompt, reference, answer, scores, reward, baseReward }, i) => ({
    prompt,
    reference,
    before: original[i]?.prompt === prompt ? original[i]?.answer : undefined,
    after: answer,
    scores: Object.entries(scores)
      .map(([name, score]) => `${shortLabelOf(`eval_${name}`)} ${formatOf(name)(score)}`)
      .join(', '),
    reward: reward === undefined ? '' : `${compact(reward)}${baseReward === undefined ? '' : `, before ${compact(baseReward)}`}`,
    isPerfect:
      Object.values(scores).every(score => score === 1) && !(reward !== undefined && baseReward !== undefined && reward < baseReward),
  }));
}
