/** The values that flow through the data pipeline: record → pieces → example → row → batch. */
import type { SampleImage } from './vision/sample-image.ts';

/** One sample as it is in the file. */
export interface DataRecord {
  readonly file: string;
  /** The line where the record starts, from 1; the row in a Parquet file. */
  readonly line: number;
  /** Index in a JSON list, from 0; one line may hold many records. */
  readonly element?: number;
  readonly value: Readonly<Record<string, unknown>>;
  /** The images of the sample in the order of its text, once they are opened. */
  readonly images?: readonly SampleImage[];
}

/** Maximum nesting of lists and objects in a record. The schema of a tool has about 20 levels; Python's reader stops at about a thousand. */
export const MAX_NESTING = 200;

export const dataFormats = ['preference', 'alpaca', 'messages', 'sharegpt', 'prompt_completion', 'text', 'text_label'] as const;
export type DataFormat = (typeof dataFormats)[number];
/** The formats of a prompt; a pair of answers has a prompt of one of the other formats. */
export type PromptFormat = Exclude<DataFormat, 'preference'>;

/** A turn of a chat with every field of the data (`tool_calls`, `reasoning_content`, `name` …). */
export interface ChatMessage {
  readonly role: string;
  /** A string, or a list of parts: texts and images; missing in a turn that consists of tool calls. */
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** A chat with everything that a template may read. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** The place of each message in its sample ("conversations[0]"); fewer, or left out, for messages that are no part of a list there. */
  readonly keys?: readonly string[];
  /** The weight of each message in the loss; 0 leaves it as context. Undefined if its role decides whether it is trained. */
  readonly weights?: ReadonlyArray<number | undefined>;
  /** Descriptions of functions, as JSON schemas. */
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Other variables of the template (`enable_thinking` …). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The question of a sample, without its answer. */
export interface Question {
  /** The turns before the answer; left out if the data is plain text. */
  readonly chat?: Conversation;
  /** The text before the answer, for a model without a chat template; left out if the data is a chat. */
  readonly text?: string;
}

export interface RenderedChat {
  readonly text: string;
  /** Stretches that the template marks as written by the assistant, as offsets in the text. */
  readonly generated: ReadonlyArray<readonly [from: number, to: number]>;
}

/** The model's chat template with its special tokens. */
export interface ChatRenderer {
  /** Whether the template marks the assistant's text. */
  readonly marksGeneration: boolean;
  /** True if the template mentions a field anywhere. */
  mentions(field: string): boolean;
  render(conversation: Conversation, options: { readonly addGenerationPrompt: boolean }): RenderedChat;
}

/** The part of a tokenizer that this room uses. */
export interface TextTokenizer {
  encode(text: string, options: { addSpecialTokens: boolean }): readonly number[];
  decode(ids: readonly number[], options: { skipSpecialTokens: boolean }): string;
  /** Ids of end tokens; the tokenizer's own comes first. */
  readonly eosIds: readonly number[];
}

/** A stretch of a sample's text; neighbors with the same `train` are tokenized as one. */
export interface Piece {
  readonly text: string;
  /** Whether its tokens are targets. */
  readonly train: boolean;
  /** Whether this stretch is shortened first if the sample is too long. */
  readonly shrink?: boolean;
  /** Whether this is a tool call, which is useless if it is cut. */
  readonly isCall?: boolean;
  /** The weight of its targets in the loss; if left out, 1. */
  readonly weight?: number;
  /** Whether this is an answer in a sample whose tokens are all trained. */
  readonly isAnswer?: boolean;
  /** Stretches of a trained text that are not targets, such as reasoning. They do not change its tokens. */
  readonly context?: ReadonlyArray<readonly [from: number, to: number]>;
  /** Stretches of a text that are targets although the text is not trained, such as user turns. They do not change its tokens. */
  readonly targets?: readonly Target[];
}

/** A stretch of a text that is trained. */
export interface Target {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

export interface FormattedExample {
  readonly pieces: readonly Piece[];
  /** Whether the text comes from a chat template, which writes the special tokens itself. */
  readonly chat: boolean;
  /** The name of the label (text_label). */
  readonly label?: string;
  /** Remarks about the sample that a report counts, such as a field that the template does not use. */
  readonly notes?: readonly string[];
  /** Present if the answer of a pair begins with its prompt. */
  readonly repeatsPrompt?: true;
}

/** A tokenized sample. `train[i]` is 1 if token i is a target; `train[0]` is 0, because nothing predicts the first token. */
export interface TokenSequence {
  readonly ids: Int32Array;
  readonly train: Uint8Array;
  /** The weight of each target in the loss, a multiple of 1 / `WEIGHT_STEPS`; if left out, all weigh 1. */
  readonly weights?: Float32Array;
  /**
   * Indices of the tokens at which trained answers begin. Two consecutive answers may have nothing between them. Trained turns of other
   * roles do not count.
   */
  readonly answers?: readonly number[];
  /** The images whose tokens it has, in their order. */
  readonly images?: readonly SampleImage[];
}

/** Number of steps of the weights of turns from 0 to 1. */
export const WEIGHT_STEPS = 100;

export interface Example extends TokenSequence {
  readonly file: string;
  readonly line: number;
  /** Index in a list, as in the record. */
  readonly element?: number;
  readonly label?: string;
}

/** A better and a worse answer to one prompt. */
export interface Pair {
  readonly chosen: TokenSequence;
  readonly rejected: TokenSequence;
  /** The margin by which the better answer is better, if the data has it and the objective reads it. */
  readonly margin?: number;
  readonly file: string;
  readonly line: number;
  /** Index in a list, as in the record. */
  readonly element?: number;
}

/** One answer to a prompt, and its judgment. */
export interface JudgedAnswer {
  readonly sequence: TokenSequence;
  readonly isGood: boolean;
  readonly file: string;
  readonly line: number;
  /** Index in a list, as in the record. */
  readonly element?: number;
}

/** The number of targets of a sequence. */
export function countTargets(sequence: TokenSequence): number {
  let count = 0;
  for (const flag of sequence.train) count += flag;
  return count;
}
