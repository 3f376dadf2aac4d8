/** Opens large data whose samples are tokenized during training, after one pass over its lines. */
import { existsSync } from 'node:fs';
import { DataError, DataProblems } from '../data-error.ts';
import { checkMaxLength } from '../example/max-length.ts';
import { deciding, type LoadDatasetInput, loadFiles, nothingLeft, recordSettingsOf } from '../load/load-dataset.ts';
import { labelsOf, openRecords } from '../load/open-records.ts';
import type { DataFile } from '../read/list-files.ts';
import type { OpenedDataset } from '../tokens/dataset-target.ts';
import type { Examples } from '../tokens/example-store.ts';
import { fingerprintOf } from '../tokens/fingerprint.ts';
import type { LargeData } from '../tokens/large-data.ts';
import { openTokenCache } from '../tokens/token-cache.ts';
import { sampleTokenizer } from '../tokens/tokenize-records.ts';
import type { DataRecord } from '../types.ts';
import { reasonTokensDecide, recordChecker, sampleDecider } from './decide/keeps-target.ts';
import type { BoundedTokenizer } from './decide/text-bounds.ts';
import type { FindParams } from './find-params.ts';
import { lazyExamples } from './lazy-examples.ts';
import type { LineIndex } from './line-index.ts';
import type { LineSettings } from './line-record.ts';
import { areCopied, openIndex } from './open-index.ts';
import { type LargeFiles, type LargeInput, openLarge, type Reason } from './open-large.ts';

export interface LazyInput extends Omit<LoadDatasetInput, 'large' | 'onProgress'>, LargeInput {
  readonly tokenizer: BoundedTokenizer & { readonly vocabularySize: number };
  readonly large: LargeData;
  /** Bytes of a file that one thread reads at once; 4 MB if left out. */
  readonly segmentBytes?: number;
  /** Whether to tokenize everything first; the samples are the same. */
  readonly isEager?: boolean;
  readonly onScan?: FindParams['onScan'];
  readonly onProgress?: LoadDatasetInput['onProgress'];
}

/** Samples whose number and order do not depend on their lengths. */
export interface OpenedInOrder {
  readonly examples: Examples;
  /** Label names by id; empty for formats other than text_label. */
  readonly labels: readonly string[];
  /** Identifies the samples, independent of the location of their files. */
  readonly content: string;
  /** Present if all tokens are known. */
  readonly tokenized?: OpenedDataset;
  /** Present if tokens are not known yet. */
  readonly index?: LineIndex;
}

/**
 * Returns the samples, the reason why all of them must be tokenized first, or undefined for small data.
 * @throws DataError as `loadDataset` does
 */
export async function openInOrder(input: LazyInput): Promise<OpenedInOrder | Reason | undefined> {
  checkMaxLength(input.maxLength, input.maxPositions);
  return openLarge<OpenedInOrder>(input, large => openExamples(input, large));
}

async function openExamples(input: LazyInput, { files, totalBytes, open }: LargeFiles): Promise<OpenedInOrder | Reason> {
  const { settings, maxLength, large, tokenizer } = input;
  const { first, detected } = await peek(input, files);
  const given = detected.format === 'text_label' ? settings.labels : [];
  const reason = reasonTokensDecide(recordSettingsOf(input, detected.format, given), input);
  if (reason !== undefined) return { reason };
  const { content, key } = await fingerprintOf({ settings: deciding(settings), maxLength }, large, files);
  const cache = await openTokenCache(large, key, totalBytes);
  const known = input.isEager ? await loadFiles({ ...input, totalBytes }, files, cache) : await cache?.find();
  if (known) {
    open.close();
    return { examples: known.examples, labels: known.labels, content, tokenized: known };
  }
  const lines: LineSettings = {
    columns: settings.columns,
    format: detected.format,
    first: settings.format === 'auto' ? first : undefined,
  };
  const listsLabels = detected.format === 'text_label' && settings.labels.length === 0 && settings.promptTemplate.includes('{labels}');
  const finding = async (): Promise<FindParams> => {
    const shown = listsLabels ? await labelsIn(files, settings) : given;
    const recordSettings = recordSettingsOf(input, detected.format, shown);
    const data = { tokenizer: large.tokenizer, now: large.now.getTime(), settings: recordSettings, lines };
    return {
      ...input,
      files,
      tables: open.tables,
      lines,
      isCopied: areCopied(files),
      deciders: () => ({ decider: sampleDecider(recordSettings, input), checker: recordChecker(recordSettings) }),
      threads: existsSync(large.threadFile) ? { count: large.threads, file: large.threadFile, data } : undefined,
      totalBytes,
      detected,
    };
  };
  const index = await openIndex(finding, { key, isCached: cache !== undefined }, large);
  open.check();
  if (index.samples === 0) throw nothingLeft(index.dropped, maxLength);
  const labels = given.length > 0 ? given : [...index.labels.names].sort();
  const tokenize = sampleTokenizer(recordSettingsOf(input, detected.format, labels), input);
  return {
    examples: lazyExamples({ index, files, open, lines, tokenize, largestId: tokenizer.vocabularySize - 1 }),
    labels,
    content,
    index,
  };
}

/** The labels of all records, which each prompt lists. @throws DataError for a record that cannot be used */
async function labelsIn(files: readonly DataFile[], settings: LazyInput['settings']): Promise<readonly string[]> {
  const problems = new DataProblems();
  const { records } = await openRecords(files, settings, problems);
  const names = await labelsOf(records, [], problems);
  problems.end();
  return names;
}

/** The first record, and the format and columns that it implies for all. */
async function peek({ settings }: LazyInput, files: readonly DataFile[]) {
  const { records, detected } = await openRecords(files, settings, new DataProblems());
  const first = await records.next();
  await records.return(undefined);
  if (first.done === true) throw new DataError({ problem: 'the data has no sample', advice: 'Add data' });
  const known: DataRecord = first.value;
  return { detected, first: known };
}
