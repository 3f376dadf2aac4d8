/** Which files of a workspace are looked at as data: those whose ending says so. `.json` and `.txt` are mostly something else. */
import { taggedExtensions } from '../../trainer/protocol/data-extensions.ts';

/** For a pattern in braces. */
export const DATA_ENDINGS = ['.jsonl', '.csv', '.tsv', '.parquet', ...taggedExtensions].map(ending => ending.slice(1)).join(',');
