/** The endings of data files. */

/** Files of the shared tasks of CoNLL and their descendants: a word and its tag on each line. */
export const taggedExtensions = ['.conll', '.bio', '.iob', '.iob2', '.iobes', '.bilou'] as const;

export const dataExtensions = ['.jsonl', '.ndjson', '.json', '.csv', '.tsv', '.parquet', '.arrow', '.txt', ...taggedExtensions] as const;
export type DataExtension = (typeof dataExtensions)[number];
