/** The files in a folder of the cache: of a data set, or of the places of samples whose tokens are made as training goes. */
export const CACHE_FILES = {
  tokens: 'tokens.bin',
  columns: 'columns.bin',
  /** Everything else, as JSON. */
  data: 'data.json',
  /** The places of samples. */
  lines: 'lines.bin',
  labels: 'labels.bin',
  /** Samples that were copied. */
  copies: 'records.bin',
} as const;
