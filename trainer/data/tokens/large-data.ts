/** The resources for large data: threads, and a folder for its tokens. */
import type { TokenizerInput } from '../../format/tokenizer/tokenizer.ts';

export interface LargeData {
  /** Describes the tokenizer so that a thread can create it, and identifies it. */
  readonly tokenizer: TokenizerInput;
  /** The date that chat templates write. */
  readonly now: Date;
  /** The folder of cached tokens. */
  readonly cacheDir: string;
  /** At least 1; with 1, no thread is started. */
  readonly threads: number;
  /** The bundle of the threads. */
  readonly threadFile: string;
  /** Data with fewer bytes is tokenized at once, and its tokens stay in memory. */
  readonly minBytes: number;
  readonly log: (level: 'info' | 'warning', message: string) => void;
}
