/** Checks one sample of words with tags: lists of both, or a text with the positions of its entities. */
import { DataError, describeKeys, describeValue } from '../data-error.ts';
import { fieldError, requiredText } from '../read/record-fields.ts';
import type { DataRecord } from '../types.ts';
import { OUTSIDE } from './entities.ts';
import { splitWords, type TextWord } from './split-words.ts';

/** Column names that data sets use for words, tags, and positions of entities. */
const WORD_COLUMNS = ['tokens', 'words'];
const TAG_COLUMNS = ['tags', 'ner_tags', 'pos_tags', 'labels'];
const TEXT_COLUMN = 'text';
const SPAN_COLUMNS = ['entities', 'spans', 'label', 'labels'];

/** The columns of a sample: its words with their tags, or its text with the positions of entities. */
export type TaggedColumns =
  | { readonly kind: 'words'; readonly words: string; readonly tags: string }
  | { readonly kind: 'spans'; readonly text: string; readonly spans: string };

/** The column that has the tags. */
export const tagColumn = (columns: TaggedColumns): string => (columns.kind === 'words' ? columns.tags : columns.spans);

/** Describes the columns: "tokens" with "tags". */
export const describeTaggedColumns = (columns: TaggedColumns): string =>
  `"${columns.kind === 'words' ? columns.words : columns.text}" with "${tagColumn(columns)}"`;

export interface TaggedRecord {
  readonly words: readonly string[];
  /** A tag for each word. */
  readonly tags: readonly string[];
}

/** @throws DataError if a sample has no columns with known names */
export function findTaggedColumns({ value, file, line }: DataRecord): TaggedColumns {
  const pick = (names: readonly string[]): string | undefined => names.find(name => Object.hasOwn(value, name));
  const [words, tags, spans] = [pick(WORD_COLUMNS), pick(TAG_COLUMNS), pick(SPAN_COLUMNS)];
  if (words !== undefined && tags !== undefined) return { kind: 'words', words, tags };
  if (Object.hasOwn(value, TEXT_COLUMN) && spans !== undefined) return { kind: 'spans', text: TEXT_COLUMN, spans };
  throw new DataError({
    file,
    line,
    problem: `the keys ${describeKeys(value)}, expected "tokens" and "tags" (lists of the same length), or "text" and "entities" (a list of {"start", "end", "label"})`,
    advice: 'Rename them in the recipe: data: columns: {tokens: …, tags: …}',
  });
}

/** Reads a sample. @param labels the permitted tags by id; an empty list permits any @throws DataError (file, line, key) */
export const taggedRecord = (record: DataRecord, columns: TaggedColumns, labels: readonly string[]): TaggedRecord =>
  columns.kind === 'words' ? ofLists(record, columns, labels) : ofSpans(record, columns, labels);

function ofLists(record: DataRecord, columns: Extract<TaggedColumns, { kind: 'words' }>, labels: readonly string[]): TaggedRecord {
  const words = listOf(record, columns.words, 'words').map((word, at) => {
    if (typeof word === 'string') return word;
    throw fieldError(record, columns.words, `word ${at + 1} is ${describeValue(word)}, expected a string`, 'Write every word as text');
  });
  const given = listOf(record, columns.tags, 'tags');
  if (given.length !== words.length)
    throw fieldError(
      record,
      columns.tags,
      `${given.length} tags for ${words.length} words, expected a tag for each word`,
      `Give "${columns.words}" and "${columns.tags}" the same length`,
    );
  if (words.length === 0) throw fieldError(record, columns.words, 'no words', 'Remove the sample');
  return { words, tags: given.map((tag, at) => tagName(record, columns.tags, tag, { at, labels })) };
}

function listOf(record: DataRecord, key: string, what: string): readonly unknown[] {
  const value = record.value[key];
  if (Array.isArray(value)) return value;
  throw fieldError(record, key, `${describeValue(value)}, expected a list of ${what}`, 'Give every sample this key');
}

/** The name of a tag; an integer is the index of its name among the labels. */
function tagName(
  record: DataRecord,
  key: string,
  tag: unknown,
  { at, labels }: { readonly at: number; readonly labels: readonly string[] },
): string {
  const where = `tag ${at + 1}`;
  if (typeof tag === 'number' || typeof tag === 'bigint') {
    const name = labels[Number(tag)];
    if (name !== undefined) return name;
    if (Number(tag) === -1)
      throw fieldError(record, key, `${where} is -1, which stands for none`, 'Take the validation part: test parts hide their tags');
    throw fieldError(
      record,
      key,
      labels.length === 0
        ? `${where} is the number ${tag}, expected a name such as B-PER`
        : `${where} is the number ${tag}, but data: labels names only 0 to ${labels.length - 1}`,
      'List the names of all tags under data: labels, in the order of their numbers',
    );
  }
  if (typeof tag !== 'string' || tag.trim() === '')
    throw fieldError(
      record,
      key,
      `${where} is ${tag === '' ? 'empty' : describeValue(tag)}, expected a name such as B-PER`,
      `Write ${OUTSIDE} for a word outside of every entity`,
    );
  return known(record, key, tag.trim(), labels);
}

function known(record: DataRecord, key: string, tag: string, labels: readonly string[]): string {
  if (labels.length === 0 || labels.includes(tag)) return tag;
  throw fieldError(record, key, `the tag "${tag}", expected one of ${labels.join(', ')}`, 'Add it to data: labels, or fix the sample');
}

/** An entity by its positions in a text, counted in characters as in Python. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

function ofSpans(
  record: DataRecord,
  { text: textKey, spans: key }: Extract<TaggedColumns, { kind: 'spans' }>,
  labels: readonly string[],
): TaggedRecord {
  const text = requiredText(record, textKey);
  const words = splitWords(text);
  const tags: string[] = words.map(() => OUTSIDE);
  const unitAt = codeUnits(text);
  const spans = listOf(record, key, 'entities').map((value, at) => spanOf(record, key, value, at));
  let before: Span | undefined;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    if (span.end >= unitAt.length) throw spanError(record, key, span, `ends behind the text, which has ${unitAt.length - 1} characters`);
    if (before && span.start < before.end) throw spanError(record, key, span, `overlaps ${before.start} to ${before.end}`);
    tagWords(record, key, span, { words, tags, from: unitAt[span.start] ?? 0, to: unitAt[span.end] ?? 0, text });
    before = span;
  }
  for (const tag of tags) known(record, key, tag, labels);
  return { words: words.map(word => word.text), tags };
}

interface TagTarget {
  readonly words: readonly TextWord[];
  readonly tags: string[];
  /** Offset in UTF-16 units; `to` too. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Marks the words of an entity: the first `B-`, the others `I-`. @throws DataError if the entity begins or ends within a word */
function tagWords(record: DataRecord, key: string, span: Span, { words, tags, from, to, text }: TagTarget): void {
  const inside = words.flatMap((word, at) => (word.start < to && word.end > from ? [at] : []));
  const [first, last] = [words[inside[0] ?? -1], words[inside.at(-1) ?? -1]];
  if (!first || !last) throw spanError(record, key, span, 'covers no word');
  const cut = first.start < from ? first : last.end > to ? last : undefined;
  if (cut) {
    const covered = JSON.stringify(text.slice(from, to));
    throw spanError(record, key, span, `covers ${covered}, which ends within the word "${cut.text}"`);
  }
  for (const [place, at] of inside.entries()) tags[at] = `${place === 0 ? 'B' : 'I'}-${span.label}`;
}

/** The offset of each character in UTF-16 units, and that of the end. */
function codeUnits(text: string): number[] {
  const units = [0];
  for (const character of text) units.push((units.at(-1) ?? 0) + character.length);
  return units;
}

/** Reads `{start, end, label}`, as in doccano's newer files and Label Studio, or `[start, end, label]`, as in spaCy. */
function spanOf(record: DataRecord, key: string, value: unknown, at: number): Span {
  const named = value !== null && typeof value === 'object' && !Array.isArray(value) ? new Map(Object.entries(value)) : undefined;
  const [start, end, label] = Array.isArray(value)
    ? value
    : [
        named?.get('start') ?? named?.get('start_offset'),
        named?.get('end') ?? named?.get('end_offset'),
        named?.get('label') ?? named?.get('type'),
      ];
  if (Number.isInteger(start) && Number.isInteger(end) && typeof label === 'string' && label !== '' && start >= 0 && end > start)
    return { start, end, label };
  throw fieldError(
    record,
    key,
    `entity ${at + 1} is ${JSON.stringify(value)?.slice(0, 80) ?? 'missing'}, expected {"start": 0, "end": 5, "label": "PER"} with start below end`,
    'Count characters from 0; end is the first character behind the entity',
  );
}

const spanError = (record: DataRecord, key: string, { start, end, label }: Span, problem: string): DataError =>
  fieldError(
    record,
    key,
    `the entity ${label} at ${start} to ${end} ${problem}`,
    'Let each entity begin and end with whole words, without overlaps',
  );
