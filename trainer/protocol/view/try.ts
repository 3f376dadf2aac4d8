/** Messages between the Try page and its host: a prompt in one direction, two streamed answers in the other. */
import type { GenerateOptions } from '../messages/job-messages.ts';
import type { ComparedSample } from './compared-sample.ts';

/** The base model and the tuned model. */
export type TrySide = 'base' | 'tuned';

/** The prompt format: as in the run's training, by the model's chat template, or raw. */
export const PROMPT_STYLES = ['trained', 'chat', 'plain'] as const;
export type PromptStyle = (typeof PROMPT_STYLES)[number];

/** The options on the page; the engine is always the best one of the machine. */
export interface TryOptions extends Omit<GenerateOptions, 'engine' | 'chat'> {
  /** The prompt format; without a run, 'trained' means 'chat'. */
  readonly prompt: PromptStyle;
}

export const TRY_DEFAULTS: TryOptions = { prompt: 'trained', maxNewTokens: 128, temperature: 0, topP: 1, topK: 0, seed: 42 };

/** The daemon's bounds. */
export const TRY_BOUNDS = {
  maxNewTokens: { min: 1, max: 4096 },
  temperature: { min: 0, max: 2 },
  topP: { min: 0, max: 1 },
  topK: { min: 0, max: 1000 },
  seed: { min: 0, max: 2 ** 32 - 1 },
} as const satisfies Partial<Record<keyof TryOptions, { readonly min: number; readonly max: number }>>;

/** Maximum length of a prompt in characters: longer than any context of a supported model. */
export const MAX_PROMPT = 500_000;

/** A stretch of the prompt with a label. */
export interface TryEntity {
  readonly type: string;
  /** Offset in the prompt, in UTF-16 units; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  /** The model's probability. */
  readonly score: number;
}

/** A label of the whole prompt. */
export interface TryLabel {
  readonly label: string;
  readonly probability: number;
}

/** A text of the run's data. */
export interface TryNearText {
  readonly text: string;
  /** The cosine similarity of its vector and the prompt's. */
  readonly similarity: number;
}

/** An image of a prompt as the page shows it. */
export interface TryPicture {
  /** The name of its file. */
  readonly name: string;
  /** A data URL of a small version; missing for an image of an old question. */
  readonly thumbnail?: string;
}

/** An image that waits for the next question. */
export interface TryAttached extends TryPicture {
  readonly bytes: number;
}

/** Maximum length of the data URL of a thumbnail: several times what one needs. */
export const MAX_THUMBNAIL = 64_000;

export interface TryAnswer {
  readonly side: TrySide;
  readonly text: string;
  /** The reasoning that the model wrote before its answer. */
  readonly reasoning?: string;
  /** `waiting` for another job; `loading` the model; `stopped` by the user. */
  readonly state: 'waiting' | 'loading' | 'writing' | 'done' | 'stopped' | 'failed';
  /** Progress, or the reason for a failure; at the end, the number of tokens and their rate. */
  readonly note?: string;
  /** The entities that a token classifier found, shown in the prompt in place of `text`. */
  readonly entities?: readonly TryEntity[];
  /** The labels that a classifier of texts gives the prompt, most likely first, shown in place of `text`. */
  readonly labels?: readonly TryLabel[];
  /** The texts that an embedding model finds nearest to the prompt, shown in place of `text`. */
  readonly nearest?: readonly TryNearText[];
  /** The answers of a sample with their scores before and after tuning, shown in place of `text`. */
  readonly compared?: ComparedSample;
}

/** One question and its answers. */
export interface TryRound {
  readonly prompt: string;
  readonly images?: readonly TryPicture[];
  /** The answers, one per side, in the order of `sides`. */
  readonly answers: readonly TryAnswer[];
}

export type TryToPage =
  /** The full view: the current model, and the questions so far. */
  | {
      readonly type: 'view';
      readonly label: string;
      readonly model: string;
      /** The models that answer; empty if none generates text. */
      readonly sides: readonly TrySide[];
      /** Whether samples of the run's data can be scored. */
      readonly comparesAnswers: boolean;
      /** Whether questions may have images. */
      readonly readsImages: boolean;
      readonly attached: readonly TryAttached[];
      readonly rounds: readonly TryRound[];
    }
  /** The images of the next question, and why another one was refused; an empty reason removes the last one. */
  | { readonly type: 'attached'; readonly attached: readonly TryAttached[]; readonly problem?: string }
  /** A new question at the end. */
  | { readonly type: 'round'; readonly round: TryRound }
  /** The state of an answer to the last question. */
  | { readonly type: 'answer'; readonly answer: TryAnswer }
  /** A piece of an answer to the last question. */
  | { readonly type: 'text'; readonly side: TrySide; readonly chunk: string; readonly part?: 'reasoning' };

export type TryFromPage =
  | { readonly type: 'ready' }
  | { readonly type: 'ask'; readonly prompt: string; readonly options: TryOptions }
  /** Adds an image, as a data URL, to the next question. */
  | { readonly type: 'attach'; readonly name: string; readonly url: string; readonly thumbnail: string }
  /** Removes an image from the next question, by its place. */
  | { readonly type: 'detach'; readonly place: number }
  /** A request to score the answers of a sample, counted from 0. */
  | { readonly type: 'compare'; readonly sample: number }
  | { readonly type: 'stop' }
  | { readonly type: 'clear' };

/** The page before it shows a model. */
export const EMPTY_TRY: Omit<Extract<TryToPage, { type: 'view' }>, 'type'> = {
  label: '',
  model: '',
  sides: [],
  comparesAnswers: false,
  readsImages: false,
  attached: [],
  rounds: [],
};
