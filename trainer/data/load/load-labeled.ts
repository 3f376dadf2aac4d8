/** Loads files as labeled texts for a classifier or a regression: one text or two, with a class, several classes, or a number. */
import path from 'node:path';
import { DataError, DataProblems, describeKeys, noSample } from '../data-error.ts';
import type { ColumnNames } from '../detect-format.ts';
import { drawStream } from '../draw.ts';
import { createSegmentEncoder, type SegmentTokenizer } from '../example/segment-encoder.ts';
import { describeGlue, type GlueTask, glueTask } from '../glue.ts';
import { placesOf } from '../label-places.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import { byNumberOrName, checkLabelShown, fieldError, labelName, optionalText, requiredText } from '../read/record-fields.ts';
import { labelNames } from '../several-labels.ts';
import { type DataReport, summarizeExamples } from '../shown/data-report.ts';
import type { DataRecord } from '../types.ts';
import { samplesOf } from './samples-of.ts';

/** Column names of a text and its partner in GLUE and similar tasks. */
const TEXT_COLUMNS: readonly (readonly [string, string?])[] = [
  ['text', 'text_pair'],
  ['text'],
  ['#1 String', '#2 String'],
  ['sentence1', 'sentence2'],
  ['question1', 'question2'],
  ['premise', 'hypothesis'],
  ['question', 'sentence'],
  ['sentence'],
  ['query', 'document'],
  ['query', 'passage'],
];
const LABEL_COLUMNS = ['label', 'labels', 'score', 'gold_label', 'is_duplicate', 'Quality'];

export interface LabeledText {
  readonly ids: Int32Array;
  /** The start of the second text; the length if there is none. */
  readonly secondAt: number;
  /** The name of the class; '' for a regression, and for samples with several labels. */
  readonly label: string;
  /** The prediction target: the index of the label, or the number itself; −1 for samples with several labels. */
  readonly target: number;
  /** The names of all labels of a sample that may have several. */
  readonly names?: readonly string[];
  readonly file: string;
  readonly line: number;
}

export interface LoadLabeledInput {
  readonly paths: readonly string[];
  readonly tokenizer: SegmentTokenizer;
  readonly columns: ColumnNames;
  /** Whether the target is a number, not a class. */
  readonly regression: boolean;
  /** Whether a sample is a query with a document; its number, from 0 to 1, is the relevance of the document. */
  readonly ranks?: boolean | undefined;
  /** Whether a sample has any number of labels. */
  readonly multiple?: boolean | undefined;
  /** Label names by id; if empty, the labels of the data, sorted. */
  readonly labels: readonly string[];
  /** Maximum length in tokens, including special tokens. */
  readonly maxLength: number;
  /** Draws at most this many samples with the seed; the labels are those of all samples. */
  readonly maxSamples?: number;
  readonly seed: number;
}

export interface LabeledData {
  readonly examples: readonly LabeledText[];
  /** Label names by id; empty for a regression. */
  readonly labels: readonly string[];
  readonly report: DataReport;
}

/** The columns of a sample's text, its partner and its label. */
export interface LabeledColumns {
  readonly first: string;
  readonly second?: string;
  readonly label: string;
  /** Columns with 1 if a sample has the label, one for each label, in place of a single column. */
  readonly flags?: readonly string[];
}

/** Loads the texts. @throws DataError (file, line, key) for anything malformed, and if there is no sample or only one class */
export async function loadLabeled(input: LoadLabeledInput): Promise<LabeledData> {
  const { regression, multiple = false, maxLength, maxSamples: count, seed } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createSegmentEncoder(input.tokenizer);
  const found: (Omit<LabeledText, 'target'> & { readonly value: number })[] = [];
  const names = new Set<string>();
  let columns: LabeledColumns | undefined;
  let glue: GlueTask | undefined;
  let [truncated, malformed] = [0, 0];
  const problems = new DataProblems();
  const records = labeledSamples(input, files, {
    problems,
    onSkip: () => malformed++,
    onFirst: (foundColumns, foundGlue) => ([columns, glue] = [foundColumns, foundGlue]),
    onSample: ({ names: own, label }) => {
      for (const name of own ?? [label]) names.add(name);
    },
  });
  let drawnFrom: number | undefined;
  for await (const { first, second, ...sample } of drawStream(records, { count, seed }, seen => (drawnFrom = seen))) {
    const { ids, secondAt, truncated: isTruncated } = encoder.encode(first, second, maxLength);
    truncated += Number(isTruncated);
    found.push({ ids, secondAt, ...sample });
  }
  problems.end();
  if (!columns) throw noSample(files);
  const labels = regression ? [] : input.labels.length > 0 ? input.labels : [...names].sort(byNumberOrName);
  const places = placesOf(labels);
  const targetOf = (label: string): number => (multiple ? -1 : (places.get(label) ?? -1));
  const examples = found.map(({ value, ...example }) => ({ ...example, target: regression ? value : targetOf(example.label) }));
  return { examples, labels, report: reportOf(examples, columns, { files: files.length, drawnFrom, truncated, malformed, glue }) };
}

interface LabeledSamplesHooks {
  readonly problems: DataProblems;
  readonly onSkip?: () => void;
  readonly onFirst?: (columns: LabeledColumns, glue: GlueTask | undefined) => void;
  readonly onSample?: (sample: LabeledRecord) => void;
}

/** The samples before they are encoded. @throws DataError if the first one lacks a column, or has no class */
export function labeledSamples(
  {
    columns: renames,
    regression,
    ranks,
    multiple = false,
    labels,
  }: Pick<LoadLabeledInput, 'columns' | 'regression' | 'ranks' | 'multiple' | 'labels'>,
  files: readonly DataFile[],
  { problems, onSkip, onFirst, onSample }: LabeledSamplesHooks,
): AsyncGenerator<LabeledRecord & Pick<DataRecord, 'file' | 'line'>> {
  return samplesOf({
    files,
    onSkip,
    renames,
    problems,
    find: (record, given) => {
      const columns = findColumns(record, multiple ? labels : []);
      const glue = glueTask(given.file, Object.keys(given.value));
      if (glue?.regression && !regression) throw notAClass(record, columns.label, glue);
      onFirst?.(columns, glue);
      return columns;
    },
    read: (record, known) => {
      const labeled = labeledRecord(record, known, { regression, ranks, multiple, labels });
      onSample?.(labeled);
      return labeled;
    },
  });
}

export interface LabeledRecord {
  readonly first: string;
  readonly second: string | undefined;
  /** '' for a regression, and for a sample that may have several labels. */
  readonly label: string;
  readonly names?: readonly string[];
  /** The number to predict; 0 for a class. */
  readonly value: number;
}

/**
 * Reads the text and label of a record.
 * @param labels the permitted names; an empty list permits any
 * @throws DataError (file, line, key)
 */
export function labeledRecord(
  record: DataRecord,
  columns: LabeledColumns,
  { regression, ranks = false, multiple = false, labels }: Pick<LoadLabeledInput, 'regression' | 'ranks' | 'multiple' | 'labels'>,
): LabeledRecord {
  const { first: firstKey, second: secondKey, label } = columns;
  const second = secondKey === undefined ? undefined : optionalText(record, secondKey);
  // One text of a pair may be empty: QQP has a few of these.
  const first = second?.trim() ? optionalText(record, firstKey) : requiredText(record, firstKey);
  if (ranks && !second?.trim())
    throw fieldError(record, secondKey ?? 'document', 'no document for the query', 'Give every sample a query, a document and a label');
  if (regression) return { first, second, label: '', value: ranks ? requiredShare(record, label) : requiredNumber(record, label) };
  if (multiple) return { first, second, label: '', names: labelNames(record, columns, labels), value: 0 };
  checkLabelShown(record, label);
  return { first, second, label: labelName(record, label, labels), value: 0 };
}

function notAClass(record: DataRecord, key: string, { name }: GlueTask): DataError {
  return fieldError(record, key, `${name} has numbers to predict, not classes`, 'Set task: sequence_regression');
}

/**
 * Finds the columns of a record.
 * @param flags names of labels that may have a column each
 * @throws DataError if a sample has no column with a known name
 */
export function findColumns({ value, file, line }: DataRecord, flags: readonly string[] = []): LabeledColumns {
  const has = (key: string | undefined) => key === undefined || Object.hasOwn(value, key);
  const texts = TEXT_COLUMNS.find(([first, second]) => has(first) && has(second));
  const label = LABEL_COLUMNS.find(has);
  if (texts && label !== undefined) return { first: texts[0], second: texts[1], label };
  const [flag] = flags;
  if (texts && flag !== undefined && flags.every(has)) return { first: texts[0], second: texts[1], label: flag, flags };
  const missing = texts ? 'label' : 'text';
  const isTest = texts !== undefined && /(^|[-_])test[-_.]/.test(path.basename(file));
  throw new DataError({
    file,
    line,
    key: missing,
    problem: `no such column; the sample has ${describeKeys(value)}`,
    advice: isTest
      ? 'Take the validation part (dev.tsv): test parts hide their labels'
      : `Name it in the recipe: data: columns: {${missing}: …}`,
  });
}

function requiredNumber(record: DataRecord, key: string): number {
  const value = record.value[key];
  const number = typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
  if (Number.isFinite(number)) return number;
  throw fieldError(record, key, `${JSON.stringify(value) ?? 'missing'}, expected a number`, 'Give every sample the number to predict');
}

function requiredShare(record: DataRecord, key: string): number {
  const value = record.value[key];
  if (typeof value === 'boolean') return Number(value);
  const number = requiredNumber(record, key);
  if (number >= 0 && number <= 1) return number;
  throw fieldError(record, key, `the number ${number}, expected 0 (not relevant) to 1 (relevant)`, 'Divide scores by their highest value');
}

interface Counts {
  readonly files: number;
  readonly drawnFrom: number | undefined;
  readonly truncated: number;
  readonly malformed: number;
  readonly glue: GlueTask | undefined;
}

function reportOf(
  examples: readonly LabeledText[],
  { first, second, label }: LabeledColumns,
  { files, drawnFrom, truncated, malformed, glue }: Counts,
): DataReport {
  const texts = second === undefined ? `"${first}"` : `"${first}" with "${second}"`;
  const counted = examples.map(({ ids, file, line, label: name }) => ({
    ids,
    train: new Uint8Array(ids.length),
    file,
    line,
    label: name === '' ? undefined : name,
  }));
  const several: Record<string, number> = {};
  for (const { names = [] } of examples) for (const name of names) several[name] = (several[name] ?? 0) + 1;
  return {
    format: 'text_label',
    formatReason: `${glue ? `${describeGlue(glue)}: ` : ''}${texts} with "${label}"`,
    files,
    read: examples.length + malformed,
    drawnFrom: drawnFrom === undefined ? undefined : drawnFrom + malformed,
    dropped: malformed > 0 ? { lines_with_too_few_fields: malformed } : {},
    truncated,
    ...summarizeExamples(counted),
    ...(Object.keys(several).length > 0 ? { labelCounts: several } : {}),
  };
}
