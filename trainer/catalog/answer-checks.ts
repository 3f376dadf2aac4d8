/** Checks of the answers that a language model generates during an evaluation. Code asks for a capability of an entry. */
import { namesOf } from './entries.ts';

interface AnswerCheckEntry {
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /** Present if it compares with the sample's own answer. */
  readonly comparesWithSample?: true;
  /** Present if it reads `eval_generation.pattern`. */
  readonly readsPattern?: true;
}

const entries = {
  exact_match: {
    summary: "The share of answers that are the sample's own, apart from white space around them; higher is better.",
    comparesWithSample: true,
  },
  rouge_l: {
    summary:
      "The mean ROUGE-L F-measure with the sample's own answer, 0 to 1, as the package rouge-score computes it: lower case, words of a–z and 0–9; higher is better.",
    comparesWithSample: true,
  },
  json: {
    summary: 'The share of answers that are one JSON object or array and nothing else; higher is better.',
  },
  pattern: {
    summary: 'The share of answers in which the regular expression `eval_generation.pattern` matches; higher is better.',
    readsPattern: true,
  },
} as const satisfies Readonly<Record<string, AnswerCheckEntry>>;

export type AnswerCheck = keyof typeof entries;

export const answerChecks: Readonly<Record<AnswerCheck, AnswerCheckEntry>> = entries;

export const answerCheckNames = namesOf(entries);

/** The metric for the mean reward of the answers, in an evaluation whose answers a reward model scores (`eval_generation.reward_model`). */
export const REWARD = 'reward';

/** The metrics of generated answers. */
export const answerMetrics = [...answerCheckNames, REWARD] as const;
