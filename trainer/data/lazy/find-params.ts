/** The parameters for finding the samples of large data. */
import type { DataFile } from '../read/list-files.ts';
import type { ThreadsParams } from '../tokens/tokenize-threads.ts';
import type { DataFormat } from '../types.ts';
import type { Decider } from './decide/decider.ts';
import type { LineSettings } from './line-record.ts';
import type { FoundTable } from './table-segments.ts';

export interface FindParams {
  readonly files: readonly DataFile[];
  /** The table in each file, or undefined. */
  readonly tables: ReadonlyArray<FoundTable | undefined>;
  readonly settings: { readonly maxSamples?: number; readonly seed: number };
  readonly lines: LineSettings;
  /** Creates a decider for records, and a checker for records from which some are drawn later, in this process. */
  readonly deciders: () => { readonly decider: Decider; readonly checker: Decider };
  /** Whether samples are copied into the cache because they cannot be read from their files by position; false if left out. */
  readonly isCopied?: boolean;
  /** Present if several threads may be used. */
  readonly threads?: ThreadsParams | undefined;
  readonly totalBytes: number;
  readonly detected: { readonly format: DataFormat; readonly reason: string };
  readonly segmentBytes?: number | undefined;
  /** Receives the number of bytes read and the total, and is awaited. */
  readonly onScan?: ((bytes: number, totalBytes: number) => void | Promise<void>) | undefined;
}
