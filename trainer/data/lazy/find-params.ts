/** Everything that finding the samples of large data takes. */
import type { DataFile } from '../read/list-files.ts';
import type { ThreadsParams } from '../tokens/tokenize-threads.ts';
import type { DataFormat } from '../types.ts';
import type { Decider } from './decide/decider.ts';
import type { LineSettings } from './line-record.ts';
import type { FoundTable } from './table-segments.ts';

export interface FindParams {
  readonly files: readonly DataFile[];
  /** For each file, the table that it is. */
  readonly tables: ReadonlyArray<FoundTable | undefined>;
  readonly settings: { readonly maxSamples?: number; readonly seed: number };
  readonly lines: LineSettings;
  /** Decides about records, and checks all of which some are drawn, in this process. */
  readonly deciders: () => { readonly decider: Decider; readonly checker: Decider };
  /** Samples are copied into the cache, since they cannot be read from their files by places; false if left out. */
  readonly isCopied?: boolean;
  /** Present where several threads may do so. */
  readonly threads?: ThreadsParams | undefined;
  readonly totalBytes: number;
  readonly detected: { readonly format: DataFormat; readonly reason: string };
  readonly segmentBytes?: number | undefined;
  /** Receives the bytes that were read, of all that will be, and is waited for. */
  readonly onScan?: ((bytes: number, totalBytes: number) => void | Promise<void>) | undefined;
}
