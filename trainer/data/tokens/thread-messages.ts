/** Messages between a process that reads data and the threads that tokenize it. */
import type { TokenizerInput } from '../../format/tokenizer/tokenizer.ts';
import type { DataProblem } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import type { RecordSettings, TokenizedRecords } from './tokenize-records.ts';

/** The tokenizer and the chat template, as a thread makes them again, and the settings. */
export interface ThreadData {
  readonly tokenizer: TokenizerInput;
  /** Milliseconds since 1970: the date that chat templates write. */
  readonly now: number;
  readonly settings: RecordSettings;
}

export interface ThreadRequest {
  readonly id: number;
  readonly records: readonly DataRecord[];
}

export type ThreadAnswer =
  | { readonly id: number; readonly made: TokenizedRecords }
  /** A problem that is of no single record. */
  | { readonly id: number; readonly problem: DataProblem }
  | { readonly id: number; readonly failure: string };
