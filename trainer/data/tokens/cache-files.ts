/** The files in a folder of the cache, which holds a data set, or the positions of samples that are tokenized during training. */
export const CACHE_FILES = {
  tokens: 'tokens.bin',
  columns: 'columns.bin',
  /** Everything else, as JSON. */
  data: 'data.json',
  /** The positions of samples. */
  lines: 'lines.bin',
  labels: 'labels.bin',
  /** Samples that were copied. */
  copies: 'records.bin',
} as const;
