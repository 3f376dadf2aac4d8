/** Messages between a process that reads data and the threads that tokenize it. */
import type { TokenizerInput } from '../../format/tokenizer/tokenizer.ts';
import type { DataProblem } from '../data-error.ts';
import type { LabeledForm } from '../lazy/decide/labeled-decider.ts';
import type { LineSettings } from '../lazy/line-record.ts';
import type { ScannedSegment } from '../lazy/scan-segment.ts';
import type { Segment } from '../lazy/segments.ts';
import type { DataRecord } from '../types.ts';
import type { RecordSettings, TokenizedRecords } from './tokenize-records.ts';

/** The description from which a thread creates the tokenizer and the chat template, and the settings. */
export interface TokenThreadData {
  readonly tokenizer: TokenizerInput;
  /** Milliseconds since 1970: the date that chat templates write. */
  readonly now: number;
  readonly settings: RecordSettings;
  /** Present for threads that scan segments of files. */
  readonly lines?: LineSettings | undefined;
}

/** The settings of threads that scan texts of classifiers. */
export interface LabeledThreadData {
  readonly form: LabeledForm;
  readonly lines: LineSettings;
}

export type ThreadData = TokenThreadData | LabeledThreadData;

/** A segment to scan. */
export interface SegmentWork {
  readonly segment: Segment;
  /** Whether records are only checked, without deciding about them. */
  readonly isCheck?: boolean;
  /** The indices of the records to scan (`scanSegment`). */
  readonly chosen?: Uint32Array | undefined;
}

/** The work of a thread: records to tokenize, or a segment to scan. */
export type ThreadWork = { readonly records: readonly DataRecord[] } | SegmentWork;

export type ThreadRequest = ThreadWork & { readonly id: number };

export type ThreadAnswer =
  | { readonly id: number; readonly made: TokenizedRecords | ScannedSegment }
  /** A problem that does not belong to a single record. */
  | { readonly id: number; readonly problem: DataProblem }
  | { readonly id: number; readonly failure: string };
