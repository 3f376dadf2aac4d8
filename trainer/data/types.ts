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

const dataFormats = ['alpaca', 'messages', 'sharegpt', 'prompt_completion', 'text', 'text_label'] as const;
export type DataFormat = (typeof dataFormats)[number];

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** Renders messages with the model's chat template, its special tokens included. */
export type RenderChat = (messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }) => string;

/** What this room needs of a tokenizer. */
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
  /** Where the sample is too long, this stretch gives way first. */
  readonly shrink?: boolean;
}

export interface FormattedExample {
  readonly pieces: readonly Piece[];
  /** The text came out of a chat template, which writes the special tokens itself. */
  readonly chat: boolean;
  /** The name of the label (text_label). */
  readonly label?: string;
}

/** A tokenized sample. `train[i]` is 1 where token i is a target; never at 0, which nothing predicts. */
export interface TokenSequence {
  readonly ids: Int32Array;
  readonly train: Uint8Array;
}

export interface Example extends TokenSequence {
  readonly file: string;
  readonly line: number;
  /** As of its record. */
  readonly element?: number;
  readonly label?: string;
}

/** The number of targets of a sequence. */
export function countTargets(sequence: TokenSequence): number {
  let count = 0;
  for (const flag of sequence.train) count += flag;
  return count;
}
