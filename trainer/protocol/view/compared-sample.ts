/** A sample of compared or judged answers with what the model thinks of them before and after tuning. */
import type { DataPart, ShownSide } from './data.ts';

/** Samples that can be chosen: all of them are read to show one as an evaluation reads it. */
export const MAX_SAMPLES = 500;

export interface ComparedAnswer {
  readonly side: ShownSide;
  readonly text: string;
  /** Tokens that are compared. */
  readonly tokens: number;
  /** The score by the base model; left out where its head is drawn at random. */
  readonly base?: number;
  /** The score by the tuned model. */
  readonly tuned: number;
}

export interface ComparedSample {
  /** Held-out data, or training data where there is none. */
  readonly part: DataPart;
  /** From 0. */
  readonly index: number;
  /** Samples of the part that can be chosen. */
  readonly count: number;
  /** The scores: mean log-probability per token, or the reward. */
  readonly measure: 'logp' | 'reward';
  readonly prompt: string;
  /** The better and the worse answer, or one that was judged. */
  readonly answers: readonly ComparedAnswer[];
}
