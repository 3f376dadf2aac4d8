/** Loads files as tokenized examples with a report: reads, detects the format, formats, tokenizes, counts. */

import { existsSync } from 'node:fs';
import type { ContextPart } from '../chat/context-parts.ts';
import type { TurnChoice } from '../chat/format-chat.ts';
import { DataError, DataProblems } from '../data-error.ts';
import type { ColumnNames } from '../detect-format.ts';
import { drawStream } from '../draw.ts';
import { createEncoder } from '../example/encoder.ts';
import { type FormatSettings, formatExample } from '../example/format-example.ts';
import { checkMaxLength } from '../example/max-length.ts';
import type { TokenizeSettings, Truncation } from '../example/tokenize-example.ts';
import { tokenizeExample } from '../example/tokenize-example.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import type { TextSplit } from '../read/read-text.ts';
import { summarizeColumns } from '../shown/data-report.ts';
import { ColumnBuilder } from '../tokens/column-builder.ts';
import { type DatasetTarget, inMemory, type MadeDataset, type OpenedDataset } from '../tokens/dataset-target.ts';
import { fingerprintOf } from '../tokens/fingerprint.ts';
import type { LargeData } from '../tokens/large-data.ts';
import { openTokenCache, type TokenCache } from '../tokens/token-cache.ts';
import { type RecordSettings, recordTokenizer } from '../tokens/tokenize-records.ts';
import { type MadeBatch, tokenizeInThreads } from '../tokens/tokenize-threads.ts';
import type { ChatRenderer, DataFormat, DataRecord, TextTokenizer } from '../types.ts';
import { withOpenedImages } from '../vision/opened-images.ts';
import type { ImageReading } from '../vision/sample-image.ts';
import { labelsOf, type OpenedRecords, openRecords } from './open-records.ts';

/**
 * Maximum number of tokens: at four bytes each, 16 GB on disk, which is months of training on one machine. Token positions are 32-bit
 * integers.
 */
const MAX_DATASET_TOKENS = 4_000_000_000;

/** Number of records that are tokenized at once, and between two progress reports. */
const BATCH_RECORDS = 100;

/** Settings of the data set. Optional settings without effect are left out, so that the fingerprint of the data does not change. */
export interface DatasetSettings extends TurnChoice {
  readonly format: DataFormat | 'auto';
  readonly columns: ColumnNames;
  /** Label names by id; if empty, the labels of the data, sorted. */
  readonly labels: readonly string[];
  /** The prompt of text_label samples, with {text} and {labels}. */
  readonly promptTemplate: string;
  readonly chat: boolean | 'auto';
  readonly completionOnly: boolean;
  /** The parts of a trained answer that stay context. */
  readonly contextParts?: readonly ContextPart[] | undefined;
  readonly truncation: Truncation;
  readonly textSplit: TextSplit;
  /** Draws at most this many samples with the seed. */
  readonly maxSamples?: number;
  readonly seed: number;
}

export interface LoadDatasetInput {
  /** Files and folders. */
  readonly paths: readonly string[];
  readonly settings: DatasetSettings;
  readonly tokenizer: TextTokenizer;
  /** The model's chat template, if it has one. */
  readonly chatRenderer?: ChatRenderer;
  /** Maximum length in tokens. */
  readonly maxLength: number;
  /** Number of positions of the model. */
  readonly maxPositions: number;
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Present if large data may be tokenized in threads and its tokens kept on disk. */
  readonly large?: LargeData;
  /** Present if the images of the data are read. Such data is tokenized here, whatever its size. */
  readonly images?: ImageReading | undefined;
}

export interface LoadProgress {
  readonly read: number;
  readonly kept: number;
  readonly tokens: number;
  /** Number of bytes that were read, out of `totalBytes`. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** A label and the ids that a model writes for it, without the end token; used to score answers. */
export interface LabelCompletion {
  readonly name: string;
  readonly ids: Int32Array;
}

export type Dataset = OpenedDataset;

/**
 * Loads the examples.
 * @throws DataError (file, line and key if known) for anything malformed, for `maxLength` above `maxPositions`, and if no example is left
 */
export async function loadDataset(input: LoadDatasetInput): Promise<Dataset> {
  checkMaxLength(input.maxLength, input.maxPositions);
  const files = await listDataFiles(input.paths);
  const { settings, maxLength } = input;
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const large = input.large && !input.images && totalBytes >= input.large.minBytes ? input.large : undefined;
  const fingerprint = large && (await fingerprintOf({ settings: deciding(settings), maxLength }, large, files));
  const cache = fingerprint && large && (await openTokenCache(large, fingerprint.key, totalBytes));
  return loadFiles({ ...input, large, totalBytes }, files, cache);
}

/** The settings that decide how samples are made: the seed only decides which are drawn. */
export const deciding = (settings: DatasetSettings): DatasetSettings => ({
  ...settings,
  seed: settings.maxSamples === undefined ? 0 : settings.seed,
});

/** Takes samples from the cache, or makes and caches them. */
export async function loadFiles(input: TokenizeInput, files: readonly DataFile[], cache: TokenCache | undefined): Promise<Dataset> {
  const known = await cache?.find();
  if (known) return known;
  const target = (await cache?.begin()) ?? inMemory();
  try {
    const made = await tokenizeFiles(input, files, target);
    return await target.end(made);
  } catch (error) {
    target.abandon();
    throw error;
  }
}

/** The records of files, and everything that decides which samples they become. */
export interface OpenedForTokenizing extends OpenedRecords {
  /** The label names of text_label samples. */
  readonly labels: readonly string[];
  readonly recordSettings: RecordSettings;
}

interface ToOpen extends Pick<LoadDatasetInput, 'settings' | 'maxLength' | 'images'> {
  readonly files: readonly DataFile[];
  /** Whether only some samples are shown: all records are then read for their labels only if a prompt lists them. */
  readonly isShown?: boolean;
}

/** @throws DataError if the first sample has no known format */
export async function openForTokenizing(
  { files, settings, maxLength, images, isShown = false }: ToOpen,
  problems: DataProblems,
  onBytes?: (bytes: number) => void,
): Promise<OpenedForTokenizing> {
  const open = () => openRecords(files, { ...settings, bytes: images !== undefined }, problems, onBytes);
  let opened = await open();
  const { format } = opened.detected;
  let labels = format === 'text_label' ? settings.labels : [];
  // Known labels are checked as samples are formatted; labels of samples that are not drawn are checked here.
  const listsLabels = !isShown || settings.promptTemplate.includes('{labels}');
  if (format === 'text_label' && listsLabels && (labels.length === 0 || settings.maxSamples !== undefined)) {
    labels = await labelsOf(opened.records, settings.labels, problems);
    opened = await open();
  }
  return { ...opened, labels, recordSettings: recordSettingsOf({ settings, maxLength }, format, labels) };
}

/** Returns everything that decides which samples a record becomes. @param shownLabels labels that a prompt may list */
export function recordSettingsOf(
  { settings, maxLength }: Pick<LoadDatasetInput, 'settings' | 'maxLength'>,
  format: DataFormat,
  shownLabels: readonly string[],
): RecordSettings {
  const { truncation, textSplit: _split, maxSamples: _most, seed: _seed, ...formatting } = settings;
  return { formatting: { ...formatting, format, shownLabels }, maxLength, truncation };
}

export interface TokenizeInput extends LoadDatasetInput {
  /** Total size of the files. */
  readonly totalBytes: number;
}

async function tokenizeFiles(input: TokenizeInput, files: readonly DataFile[], target: DatasetTarget): Promise<MadeDataset> {
  const { settings, maxLength, images, totalBytes } = input;
  const problems = new DataProblems();
  let bytes = 0;
  const { records, detected, labels, recordSettings } = await openForTokenizing(
    { files, settings, maxLength, images },
    problems,
    done => (bytes = done),
  );
  const columns = new ColumnBuilder(files.map(({ file }) => file));
  const dropped: Record<string, number> = {};
  const notes: Record<string, number> = {};
  let [read, truncated] = [0, 0];
  let drawnFrom: number | undefined;
  const { maxSamples: count, seed } = settings;
  const all = drawStream(records, { count, seed }, seen => (drawnFrom = seen));
  const drawn = images ? withOpenedImages(all, { format: detected.format, images, problems }) : all;
  const report = () => input.onProgress?.({ read, kept: columns.length, tokens: columns.tokens, bytes, totalBytes });
  for await (const { records, made } of tokenizeBatches(inBatches(drawn), recordSettings, input)) {
    read += records.length;
    for (const problem of made.problems) problems.add(new DataError(problem));
    columns.add(records, made);
    const last = records.at(-1);
    if (columns.tokens > MAX_DATASET_TOKENS && last) throw tooManyTokens(last, MAX_DATASET_TOKENS);
    target.add(made.tokens);
    truncated += made.truncated;
    addCounts(dropped, made.dropped);
    addCounts(notes, made.notes);
    report();
  }
  problems.end();
  if (columns.length === 0) throw nothingLeft(dropped, maxLength);
  bytes = totalBytes;
  report();
  const found = columns.end();
  return {
    columns: found,
    labels,
    report: {
      format: detected.format,
      formatReason: detected.reason,
      files: files.length,
      read,
      drawnFrom,
      dropped,
      truncated,
      ...(Object.keys(notes).length > 0 && { notes }),
      ...summarizeColumns(found),
    },
  };
}

/** Tokenizes large data in threads, other data here. */
function tokenizeBatches(
  batches: AsyncIterable<readonly DataRecord[]>,
  settings: RecordSettings,
  { large, tokenizer, chatRenderer, images }: LoadDatasetInput,
): AsyncIterable<MadeBatch> {
  if (large && large.threads > 1 && existsSync(large.threadFile)) {
    const data = { tokenizer: large.tokenizer, now: large.now.getTime(), settings };
    return tokenizeInThreads(batches, { count: large.threads, file: large.threadFile, data });
  }
  const tokenize = recordTokenizer(settings, { tokenizer, chatRenderer, images });
  return (async function* () {
    for await (const records of batches) yield { records, made: tokenize(records) };
  })();
}

async function* inBatches(records: AsyncIterable<DataRecord>): AsyncGenerator<readonly DataRecord[]> {
  let batch: DataRecord[] = [];
  for await (const record of records) {
    batch.push(record);
    if (batch.length < BATCH_RECORDS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function addCounts(all: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) all[name] = (all[name] ?? 0) + count;
}

/** The text that the model has to write for each label after a sample's prompt. */
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

export function tooManyTokens({ file, line }: Pick<DataRecord, 'file' | 'line'>, most: number): DataError {
  const problem = `the data has more than ${most} tokens`;
  return new DataError({ file, line, problem, advice: 'Set max_samples, or train on parts of it in turn' });
}

export function nothingLeft(dropped: Readonly<Record<string, number>>, maxLength: number): DataError {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`);
  const hasImages = 'cut_image' in dropped;
  return new DataError({
    problem: `no sample is left to train on (${reasons.join(', ')}; max_length ${maxLength})`,
    advice: `Samples need an answer that fits: raise max_length, ${hasImages ? 'lower data.image_max_pixels, ' : ''}or look at the data`,
  });
}
