/** File extensions that mark a workspace file as data. `.json` and `.txt` are omitted because they mostly hold something else. */
import { taggedExtensions } from '../../trainer/protocol/data-extensions.ts';

/** The extensions for a glob pattern in braces. */
export const DATA_ENDINGS = ['.jsonl', '.csv', '.tsv', '.parquet', '.arrow', ...taggedExtensions].map(ending => ending.slice(1)).join(',');
