/** From files to tokenized examples and a report: reads, detects the format, formats, tokenizes, counts. */

import { chunkSequence } from './batch/pack-sequences.ts';
import { DataError, DataProblems, noSample } from './data-error.ts';
import type { DataReport } from './data-report.ts';
import { summarizeExamples } from './data-report.ts';
import type { ColumnNames, DetectedFormat } from './detect-format.ts';
import { checkSameFormat, detectFormat, renameColumns } from './detect-format.ts';
import { drawStream } from './draw.ts';
import { createEncoder } from './encoder.ts';
import type { TrainedTurns } from './format-chat.ts';
import type { FormatSettings } from './format-example.ts';
import { formatExample } from './format-example.ts';
import { checkMaxLength } from './max-length.ts';
import { type DataFile, listDataFiles } from './read/list-files.ts';
import { readRecords } from './read/read-records.ts';
import type { TextSplit } from './read/read-text.ts';
import { labelName } from './read/record-fields.ts';
import type { TokenizeSettings, Truncation } from './tokenize-example.ts';
import { tokenizeExample } from './tokenize-example.ts';
import type { ChatRenderer, DataFormat, DataRecord, Example, TextTokenizer } from './types.ts';

/** Five bytes each: 2 GB. More would not fit in memory with the model on most machines; it is also days of training. */
export const MAX_DATASET_TOKENS = 400_000_000;

/** Between two reports of progress. */
const PROGRESS_RECORDS = 100;

export interface DatasetSettings {
  readonly format: DataFormat | 'auto';
  readonly columns: ColumnNames;
  /** Label names by id; empty takes them from the data, sorted. */
  readonly labels: readonly string[];
  /** The prompt of text_label samples, with {text} and {labels}. */
  readonly promptTemplate: string;
  readonly chat: boolean | 'auto';
  readonly completionOnly: boolean;
  /** Which answers of a chat are trained. */
  readonly trainedTurns: TrainedTurns;
  readonly truncation: Truncation;
  readonly textSplit: TextSplit;
  /** Draws at most so many, by the seed. */
  readonly maxSamples?: number;
  readonly seed: number;
}

export interface LoadDatasetInput {
  /** Files and folders. */
  readonly paths: readonly string[];
  readonly settings: DatasetSettings;
  readonly tokenizer: TextTokenizer;
  /** The model's chat template, where it has one. */
  readonly chatRenderer?: ChatRenderer;
  /** In tokens. */
  readonly maxLength: number;
  /** The positions of the model. */
  readonly maxPositions: number;
  readonly onProgress?: (progress: { readonly read: number; readonly kept: number }) => void;
}

/** A label and the ids that a model writes for it, the end token left out: to score answers by. */
export interface LabelCompletion {
  readonly name: string;
  readonly ids: Int32Array;
}

export interface Dataset {
  /** In the order of the files. Each fits `maxLength`; a long document of format text is several. */
  readonly examples: readonly Example[];
  /** By id; empty for other formats than text_label. */
  readonly labels: readonly string[];
  readonly report: DataReport;
}

/**
 * Throws DataError (file, line, key where there are such) for anything malformed, for `maxLength` above `maxPositions`, and where
 * no example is left.
 */
export async function loadDataset(input: LoadDatasetInput): Promise<Dataset> {
  const { settings, tokenizer, maxLength, maxPositions } = input;
  checkMaxLength(maxLength, maxPositions);
  const files = await listDataFiles(input.paths);
  const problems = new DataProblems();
  const { records, detected } = await openRecords(files, settings, problems);
  const { format } = detected;
  const labeled = format === 'text_label' ? await collectLabels(records, settings.labels, problems) : undefined;
  const labels = labeled?.labels ?? [];
  const formatting: FormatSettings = { ...settings, format, shownLabels: labels, chatRenderer: input.chatRenderer };
  const [eosId] = tokenizer.eosIds;
  const tokenizing: TokenizeSettings = {
    encoder: createEncoder(tokenizer),
    maxLength: format === 'text' ? Number.POSITIVE_INFINITY : maxLength,
    truncation: settings.truncation,
    eosId,
  };

  const examples: Example[] = [];
  const dropped: Record<string, number> = {};
  const notes: Record<string, number> = {};
  let [read, truncated, tokens] = [0, 0, 0];
  let drawnFrom: number | undefined;
  const { maxSamples: count, seed } = settings;
  for await (const record of drawStream(labeled?.records ?? records, { count, seed }, seen => (drawnFrom = seen))) {
    const { file, line, element } = record;
    read++;
    const made = problems.take(() => {
      const formatted = formatExample(record, formatting);
      for (const note of formatted.notes ?? []) notes[note] = (notes[note] ?? 0) + 1;
      return { label: formatted.label, result: tokenizeExample(formatted, tokenizing, { file, line }) };
    });
    if (made === undefined) continue;
    const { label, result } = made;
    if (result.kind === 'dropped') dropped[result.reason] = (dropped[result.reason] ?? 0) + 1;
    else {
      truncated += Number(result.truncated);
      tokens += result.sequence.ids.length;
      if (tokens > MAX_DATASET_TOKENS) throw tooManyTokens(file, line);
      for (const { ids, train } of chunkSequence(result.sequence, maxLength)) examples.push({ ids, train, file, line, element, label });
    }
    if (read % PROGRESS_RECORDS === 0) input.onProgress?.({ read, kept: examples.length });
  }
  problems.end();
  if (examples.length === 0) throw nothingLeft(dropped, maxLength);
  input.onProgress?.({ read, kept: examples.length });
  const summary = summarizeExamples(examples);
  return {
    examples,
    labels,
    report: {
      format,
      formatReason: detected.reason,
      files: files.length,
      read,
      drawnFrom,
      dropped,
      truncated,
      ...(Object.keys(notes).length > 0 && { notes }),
      ...summary,
    },
  };
}

/** The text that the model has to write for each label, as a sample's prompt is continued. */
export function labelCompletions(
  labels: readonly string[],
  { settings, tokenizer, chatRenderer }: Pick<LoadDatasetInput, 'settings' | 'tokenizer' | 'chatRenderer'>,
): LabelCompletion[] {
  const encoder = createEncoder(tokenizer);
  const formatting: FormatSettings = { ...settings, completionOnly: true, format: 'text_label', labels, shownLabels: labels, chatRenderer };
  const tokenizing: TokenizeSettings = { encoder, maxLength: Number.POSITIVE_INFINITY, truncation: 'error' };
  return labels.map(name => {
    const place = { file: 'labels', line: 1 };
    const result = tokenizeExample(formatExample({ ...place, value: { text: 'text', label: name } }, formatting), tokenizing, place);
    if (result.kind === 'dropped') throw new DataError({ problem: `the label "${name}" has no tokens`, advice: 'Give it another name' });
    const { ids, train } = result.sequence;
    const completion = ids.filter((_, index) => train[index] === 1);
    const last = completion.at(-1);
    return { name, ids: last !== undefined && tokenizer.eosIds.includes(last) ? completion.slice(0, -1) : completion };
  });
}

/** Peeks at the first record for the format, and checks the others against it as they pass. */
export async function openRecords(
  files: readonly DataFile[],
  settings: DatasetSettings,
  problems: DataProblems,
): Promise<{ records: AsyncGenerator<DataRecord>; detected: DetectedFormat }> {
  const { format, columns } = settings;
  const source = readRecords({ files, textSplit: settings.textSplit, onProblem: problem => problems.add(problem) });
  const start = await source.next();
  if (start.done === true) {
    problems.end();
    throw noSample(files);
  }
  const { first, detected } = await detect(start.value).catch(async error => {
    await source.return(undefined);
    throw error;
  });
  async function detect(record: DataRecord): Promise<{ first: DataRecord; detected: DetectedFormat }> {
    const renamed = renameColumns(record, columns);
    return { first: renamed, detected: format === 'auto' ? detectFormat(renamed) : { format, reason: 'set in the recipe' } };
  }
  async function* records() {
    yield first;
    for await (const given of source) {
      const record = problems.take(() => {
        const renamed = renameColumns(given, columns);
        if (format === 'auto') checkSameFormat(renamed, detected.format, first);
        return renamed;
      });
      if (record) yield record;
    }
  }
  return { records: records(), detected };
}

/** All label names have to be known before the first prompt can list them. */
async function collectLabels(
  source: AsyncIterable<DataRecord>,
  given: readonly string[],
  problems: DataProblems,
): Promise<{ records: DataRecord[]; labels: readonly string[] }> {
  const records: DataRecord[] = [];
  const names = new Set<string>();
  for await (const record of source) {
    const name = problems.take(() => labelName(record, 'label', given));
    if (name === undefined) continue;
    records.push(record);
    names.add(name);
  }
  return { records, labels: given.length > 0 ? given : [...names].sort() };
}

export function tooManyTokens(file: string, line: number): DataError {
  const problem = `the data has more than ${MAX_DATASET_TOKENS} tokens`;
  return new DataError({ file, line, problem, advice: 'Set max_samples, or train on parts of it in turn' });
}

export function nothingLeft(dropped: Readonly<Record<string, number>>, maxLength: number): DataError {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`);
  return new DataError({
    problem: `no sample is left to train on (${reasons.join(', ')}; max_length ${maxLength})`,
    advice: 'Samples need an answer that fits: raise max_length, or look at the data',
  });
}
