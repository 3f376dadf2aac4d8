/** The values that flow through the data pipeline: record → pieces → example → row → batch. */

/** One sample as the file has it. */
export interface DataRecord {
  readonly file: string;
  /** From 1: where the record starts; the row in a Parquet file. */
  readonly line: number;
  /** From 0: its place in a list of JSON, of which one line may hold many records. */
  readonly element?: number;
  readonly value: Readonly<Record<string, unknown>>;
}

export const dataFormats = ['preference', 'alpaca', 'messages', 'sharegpt', 'prompt_completion', 'text', 'text_label'] as const;
export type DataFormat = (typeof dataFormats)[number];
/** The formats that a prompt can be written in; pairs of answers have a prompt like that of another one. */
export type PromptFormat = Exclude<DataFormat, 'preference'>;

/** A turn of a chat with every field that the data gives it (`tool_calls`, `reasoning_content`, `name` …). */
export interface ChatMessage {
  readonly role: string;
  /** A string or a list of text parts; absent in a turn of tool calls alone. */
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** A chat with everything that a template may read. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** For each message: how much it counts in the loss; 0 leaves it as context. Undefined where its role decides whether it is trained. */
  readonly weights?: ReadonlyArray<number | undefined>;
  /** Descriptions of functions, as JSON schemas. */
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Other variables of the template (`enable_thinking` …). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The question of a sample, apart from its own answer. */
export interface Question {
  /** The turns before the answer; left out where the data is plain text. */
  readonly chat?: Conversation;
  /** The text before the answer for a model without a chat template; left out where the data is a chat. */
  readonly text?: string;
}

export interface RenderedChat {
  readonly text: string;
  /** Stretches that the template itself marks as written by the assistant, as places in the text. */
  readonly generated: ReadonlyArray<readonly [from: number, to: number]>;
}

/** The model's chat template, special tokens included. */
export interface ChatRenderer {
  /** Whether the template marks what the assistant writes. */
  readonly marksGeneration: boolean;
  /** Whether the template names a field anywhere. */
  mentions(field: string): boolean;
  render(conversation: Conversation, options: { readonly addGenerationPrompt: boolean }): RenderedChat;
}

/** The part of a tokenizer that this room uses. */
export interface TextTokenizer {
  encode(text: string, options: { addSpecialTokens: boolean }): readonly number[];
  decode(ids: readonly number[], options: { skipSpecialTokens: boolean }): string;
  /** The tokenizer's own comes first. */
  readonly eosIds: readonly number[];
}

/** A stretch of a sample's text; neighbors with the same `train` are tokenized as one. */
export interface Piece {
  readonly text: string;
  /** Whether its tokens are targets to learn. */
  readonly train: boolean;
  /** Whether this stretch is shortened first if the sample is too long. */
  readonly shrink?: boolean;
  /** A call of a tool, which has no meaning if it is cut. */
  readonly isCall?: boolean;
  /** How much its targets count in the loss; left out, 1. */
  readonly weight?: number;
  /** An answer in a sample of which every token is trained. */
  readonly isAnswer?: boolean;
  /** Stretches of a trained text that are no targets, such as reasoning. They do not change its tokens. */
  readonly context?: ReadonlyArray<readonly [from: number, to: number]>;
  /** Stretches of a text that is not trained otherwise, such as turns of the user. They do not change its tokens. */
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
  /** The text came out of a chat template, which writes the special tokens itself. */
  readonly chat: boolean;
  /** The name of the label (text_label). */
  readonly label?: string;
  /** Remarks about the sample that a report counts, such as a field that the template does not use. */
  readonly notes?: readonly string[];
  /** The answer of a pair begins with its prompt. */
  readonly repeatsPrompt?: true;
}

/** A tokenized sample. `train[i]` is 1 where token i is a target; never at 0, which nothing predicts. */
export interface TokenSequence {
  readonly ids: Int32Array;
  readonly train: Uint8Array;
  /** How much each target counts in the loss, a multiple of 1 / `WEIGHT_STEPS`; left out, all count 1. */
  readonly weights?: Float32Array;
  /** The tokens at which trained answers begin. Two in a row may have nothing between them, and trained turns of other roles are none. */
  readonly answers?: readonly number[];
}

/** Steps of the weights of turns from 0 to 1. */
export const WEIGHT_STEPS = 100;

export interface Example extends TokenSequence {
  readonly file: string;
  readonly line: number;
  /** As of its record. */
  readonly element?: number;
  readonly label?: string;
}

/** A better and a worse answer to one prompt. */
export interface Pair {
  readonly chosen: TokenSequence;
  readonly rejected: TokenSequence;
  /** By how much the better answer is better, where the data says it and the objective reads it. */
  readonly margin?: number;
  readonly file: string;
  readonly line: number;
  /** As of its record. */
  readonly element?: number;
}

/** One answer to a prompt, and what people think of it. */
export interface JudgedAnswer {
  readonly sequence: TokenSequence;
  readonly isGood: boolean;
  readonly file: string;
  readonly line: number;
  /** As of its record. */
  readonly element?: number;
}

/** The number of targets of a sequence. */
export function countTargets(sequence: TokenSequence): number {
  let count = 0;
  for (const flag of sequence.train) count += flag;
  return count;
}
