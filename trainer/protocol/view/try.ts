/** What the page that tries a model and its host say to each other: a prompt goes out, two answers come back piece by piece. */
import type { GenerateOptions } from '../job-messages.ts';

/** The base model, and the same with what a run trained. */
export type TrySide = 'base' | 'tuned';

/** How a prompt is written: as those that the run was trained with, by the chat template of the model, or as it is. */
export const PROMPT_STYLES = ['trained', 'chat', 'plain'] as const;
export type PromptStyle = (typeof PROMPT_STYLES)[number];

/** What the page lets one choose; the engine is the machine's best. */
export interface TryOptions extends Omit<GenerateOptions, 'engine' | 'chat'> {
  /** Without a run 'trained' is as 'chat'. */
  readonly prompt: PromptStyle;
}

export const TRY_DEFAULTS: TryOptions = { prompt: 'trained', maxNewTokens: 128, temperature: 0, topP: 1, topK: 0, seed: 42 };

/** As the daemon bounds them; more tokens than a page of text are no trial. */
export const TRY_BOUNDS = {
  maxNewTokens: { min: 1, max: 4096 },
  temperature: { min: 0, max: 2 },
  topP: { min: 0, max: 1 },
  topK: { min: 0, max: 1000 },
  seed: { min: 0, max: 2 ** 32 - 1 },
} as const satisfies Partial<Record<keyof TryOptions, { readonly min: number; readonly max: number }>>;

/** Longer than any context of a model that runs here. */
export const MAX_PROMPT = 500_000;

export interface TryAnswer {
  readonly side: TrySide;
  readonly text: string;
  /** `waiting`: behind another job; `loading`: the model comes; `stopped`: by the user. */
  readonly state: 'waiting' | 'loading' | 'writing' | 'done' | 'stopped' | 'failed';
  /** How far, or why it failed; when done, tokens and their rate. */
  readonly note?: string;
}

/** One question and what came of it. */
export interface TryRound {
  readonly prompt: string;
  /** One for each side, in the order of `sides`. */
  readonly answers: readonly TryAnswer[];
}

export type TryToPage =
  /** Everything: what is tried, and the questions so far. */
  | {
      readonly type: 'view';
      readonly label: string;
      readonly model: string;
      readonly sides: readonly TrySide[];
      readonly rounds: readonly TryRound[];
    }
  /** A new question stands at the end. */
  | { readonly type: 'round'; readonly round: TryRound }
  /** Of the last question. */
  | { readonly type: 'answer'; readonly answer: TryAnswer }
  /** A piece of an answer of the last question. */
  | { readonly type: 'text'; readonly side: TrySide; readonly chunk: string };

export type TryFromPage =
  | { readonly type: 'ready' }
  | { readonly type: 'ask'; readonly prompt: string; readonly options: TryOptions }
  | { readonly type: 'stop' }
  | { readonly type: 'clear' };
