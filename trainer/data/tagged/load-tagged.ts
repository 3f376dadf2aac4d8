/** Loads files as sentences with word tags, for token classification. */
import { type DataPlace, DataProblems, noSample } from '../data-error.ts';
import type { ColumnNames } from '../detect-format.ts';
import { drawStream } from '../draw.ts';
import type { SegmentTokenizer } from '../example/segment-encoder.ts';
import { placesOf } from '../label-places.ts';
import { samplesOf } from '../load/samples-of.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import { type DataReport, summarizeExamples } from '../shown/data-report.ts';
import type { DataRecord } from '../types.ts';
import { countEntities } from './entities.ts';
import { sortTags, type TagScheme, tagScheme } from './tag-scheme.ts';
import {
  describeTaggedColumns,
  findTaggedColumns,
  type TaggedColumns,
  type TaggedRecord,
  tagColumn,
  taggedRecord,
} from './tagged-record.ts';
import { createWordEncoder } from './word-encoder.ts';

export interface TaggedText {
  readonly ids: Int32Array;
  /** The start of the second segment as in a labeled text; here the length, because there is no second segment. */
  readonly secondAt: number;
  /** Index of each word's first token, which carries its label; −1 for a word that has no token or is cut off. */
  readonly firstTokens: Int32Array;
  /** A tag for each word. */
  readonly tags: readonly string[];
  /** Index of each word's tag among the labels. */
  readonly targets: Int32Array;
  /** Empty: a sentence has no label of its own. */
  readonly label: '';
  readonly target: -1;
  readonly file: string;
  readonly line: number;
}

export interface LoadTaggedInput {
  readonly paths: readonly string[];
  readonly tokenizer: SegmentTokenizer;
  readonly columns: ColumnNames;
  /** Tags by id; if empty, the tags of the data. */
  readonly labels: readonly string[];
  /** Maximum length in tokens, including special tokens. */
  readonly maxLength: number;
  /** Draws at most this many samples with the seed; the labels are those of all samples. */
  readonly maxSamples?: number;
  readonly seed: number;
}

export interface TaggedData {
  readonly examples: readonly TaggedText[];
  /** Tags by id. */
  readonly labels: readonly string[];
  readonly scheme: TagScheme;
  readonly report: DataReport;
}

/** @throws DataError (file, line, key) for anything malformed, and if there is no sample */
export async function loadTagged(input: LoadTaggedInput): Promise<TaggedData> {
  const { maxLength, maxSamples: count, seed } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createWordEncoder(input.tokenizer);
  const problems = new DataProblems();
  const places = new Map<string, DataPlace>();
  let columns: TaggedColumns | undefined;
  const records = taggedSamples(input, files, {
    problems,
    onFirst: foundColumns => (columns = foundColumns),
    onTags: (tags, place) => {
      for (const tag of tags) if (!places.has(tag)) places.set(tag, place);
    },
  });
  let drawnFrom: number | undefined;
  let truncated = 0;
  const found: Omit<TaggedText, 'targets'>[] = [];
  for await (const { words, tags, file, line } of drawStream(records, { count, seed }, seen => (drawnFrom = seen))) {
    const { ids, firstTokens, truncated: isTruncated } = encoder.encode(words, maxLength);
    truncated += Number(isTruncated);
    found.push({ ids, secondAt: ids.length, firstTokens, tags, label: '', target: -1, file, line });
  }
  problems.end();
  if (!columns) throw noSample(files);
  const scheme = tagScheme(places);
  const labels = input.labels.length > 0 ? input.labels : sortTags(places.keys());
  const examples = found.map(placeTags(labels));
  return { examples, labels, scheme, report: reportOf(examples, columns, { files: files.length, drawnFrom, truncated, scheme }) };
}

interface TaggedSamplesHooks {
  readonly problems: DataProblems;
  readonly onFirst?: (columns: TaggedColumns) => void;
  readonly onTags?: (tags: readonly string[], place: DataPlace) => void;
}

/** The sentences before they are encoded. @throws DataError if the first one lacks a column */
export function taggedSamples(
  { columns: renames, labels }: Pick<LoadTaggedInput, 'columns' | 'labels'>,
  files: readonly DataFile[],
  { problems, onFirst, onTags }: TaggedSamplesHooks,
): AsyncGenerator<TaggedRecord & Pick<DataRecord, 'file' | 'line'>> {
  return samplesOf({
    files,
    tagged: true,
    renames,
    problems,
    find: record => {
      const columns = findTaggedColumns(record);
      onFirst?.(columns);
      return columns;
    },
    read: (record, known) => {
      const tagged = taggedRecord(record, known, labels);
      onTags?.(tagged.tags, { file: record.file, line: record.line, key: tagColumn(known) });
      return tagged;
    },
  });
}

/** Returns a function that adds the index of each tag among these labels; −1 for an unknown tag. */
export function placeTags(labels: readonly string[]): (example: Omit<TaggedText, 'targets'>) => TaggedText {
  const places = placesOf(labels);
  return example => ({ ...example, targets: Int32Array.from(example.tags, tag => places.get(tag) ?? -1) });
}

/** Yields the words whose label counts in the loss: words with a token that was not cut off. */
export function* labeledWords({ firstTokens, targets }: TaggedText): Generator<{ word: number; token: number; target: number }> {
  for (const [word, token] of firstTokens.entries()) {
    const target = targets[word] ?? -1;
    if (token >= 0 && target >= 0) yield { word, token, target };
  }
}

interface Counts {
  readonly files: number;
  readonly drawnFrom: number | undefined;
  readonly truncated: number;
  readonly scheme: TagScheme;
}

function reportOf(examples: readonly TaggedText[], columns: TaggedColumns, { files, drawnFrom, truncated, scheme }: Counts): DataReport {
  const trained = examples.map(example => {
    const train = new Uint8Array(example.ids.length);
    for (const { token } of labeledWords(example)) train[token] = 1;
    return { ids: example.ids, train, file: example.file, line: example.line };
  });
  return {
    format: 'tags',
    formatReason: describeTaggedColumns(columns),
    files,
    read: examples.length,
    drawnFrom,
    dropped: {},
    truncated,
    ...summarizeExamples(trained),
    labelCounts: scheme === 'entities' ? entityCounts(examples) : wordCounts(examples),
  };
}

/** Number of entities of each type. */
function entityCounts(examples: readonly TaggedText[]): Record<string, number> {
  const counts = countEntities(examples.map(({ tags }) => [tags, []] as const));
  return Object.fromEntries([...counts].map(([type, { actual }]) => [type, actual]));
}

function wordCounts(examples: readonly TaggedText[]): Record<string, number> {
  const counts: Record<string, number> = Object.create(null);
  for (const { tags } of examples) for (const tag of tags) counts[tag] = (counts[tag] ?? 0) + 1;
  return counts;
}
