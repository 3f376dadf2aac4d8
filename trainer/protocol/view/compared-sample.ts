/** A sample of compared or judged answers, with the model's scores before and after tuning. */
import type { DataPart, ShownSide } from './data.ts';

/** Maximum number of samples to choose from: all of them are read to show one as an evaluation reads it. */
export const MAX_SAMPLES = 500;

export interface ComparedAnswer {
  readonly side: ShownSide;
  readonly text: string;
  /** Number of scored tokens. */
  readonly tokens: number;
  /** The score under the base model; left out if its head is initialized randomly. */
  readonly base?: number;
  /** The score under the tuned model. */
  readonly tuned: number;
}

export interface ComparedSample {
  /** Held-out data, or training data if there is none. */
  readonly part: DataPart;
  /** Index of the sample, from 0. */
  readonly index: number;
  /** Number of samples of the part to choose from. */
  readonly count: number;
  /** The kind of score: mean log-probability per token, or the reward. */
  readonly measure: 'logp' | 'reward';
  readonly prompt: string;
  /** The better and the worse answer, or one that was judged. */
  readonly answers: readonly ComparedAnswer[];
}
