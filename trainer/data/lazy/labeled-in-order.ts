/** Opens large data of classifiers after one pass over its samples; texts are tokenized on demand. */
import { existsSync } from 'node:fs';
import { DataProblems, noSample } from '../data-error.ts';
import { createSegmentEncoder } from '../example/segment-encoder.ts';
import { describeGlue } from '../glue.ts';
import { type LabeledColumns, type LabeledText, type LoadLabeledInput, labeledRecord, labeledSamples } from '../load/load-labeled.ts';
import type { DataFile } from '../read/list-files.ts';
import { byNumberOrName } from '../read/record-fields.ts';
import { type List, listOf } from '../tokens/example-store.ts';
import { fingerprintOf } from '../tokens/fingerprint.ts';
import type { LargeData } from '../tokens/large-data.ts';
import { openTokenCache } from '../tokens/token-cache.ts';
import { labeledDecider, labelsIn } from './decide/labeled-decider.ts';
import type { FindParams } from './find-params.ts';
import { keepLast, recordReader } from './lazy-examples.ts';
import type { LineIndex } from './line-index.ts';
import { areCopied, openIndex } from './open-index.ts';
import { type LargeFiles, type LargeInput, openLarge, type Reason } from './open-large.ts';

export interface LabeledInOrderInput extends LoadLabeledInput, LargeInput {
  readonly large: LargeData;
  readonly segmentBytes?: number;
  readonly onScan?: FindParams['onScan'];
}

/** A text whose label has no index yet. */
export type OpenedText = Omit<LabeledText, 'target'> & {
  /** The number to predict; 0 for classification. */
  readonly value: number;
};

export interface LabeledInOrder {
  readonly texts: List<OpenedText>;
  /** Returns the labels of a text without tokenizing it; none for a regression. */
  labelsOf(sample: number): readonly string[];
  /** Whether a text has any number of labels. */
  readonly multiple: boolean;
  /** Label names by id; empty for a regression. */
  readonly labels: readonly string[];
  readonly index: LineIndex;
  /** Identifies the texts, independent of the location of their files. */
  readonly content: string;
}

/**
 * Returns the texts, the reason why all texts must be tokenized first, or undefined for small data.
 * @throws DataError as `loadLabeled` does
 */
export async function openLabeledInOrder(input: LabeledInOrderInput): Promise<LabeledInOrder | Reason | undefined> {
  return openLarge<LabeledInOrder>(input, large => openTexts(input, large));
}

async function openTexts(input: LabeledInOrderInput, { files, totalBytes, open }: LargeFiles): Promise<LabeledInOrder> {
  const { columns: renames, regression, ranks = false, multiple = false, labels, maxLength, maxSamples, seed, large } = input;
  const { columns, formatReason } = await peek(input, files);
  const form = { columns, regression, labels, ...(ranks && { ranks }), ...(multiple && { multiple }) };
  const { columns: found, ...reading } = form;
  const settings = { columns: renames, found, ...reading, ...(maxSamples !== undefined && { maxSamples, seed }) };
  const { content, key } = await fingerprintOf({ settings, maxLength }, large, files);
  const cache = await openTokenCache(large, key, totalBytes);
  const lines = { columns: renames, format: 'text_label', first: undefined } as const;
  const decider = labeledDecider(form);
  const index = await openIndex(
    () => ({
      files,
      tables: open.tables,
      settings: { seed, ...(maxSamples !== undefined && { maxSamples }) },
      lines,
      deciders: () => ({ decider, checker: decider }),
      isCopied: areCopied(files),
      threads: existsSync(large.threadFile) ? { count: large.threads, file: large.threadFile, data: { form, lines } } : undefined,
      totalBytes,
      detected: { format: 'text_label', reason: formatReason },
      segmentBytes: input.segmentBytes,
      onScan: input.onScan,
    }),
    { key, isCached: cache !== undefined },
    large,
  );
  open.check();
  const encoder = createSegmentEncoder(input.tokenizer);
  const recordAt = recordReader({ index, files, open, lines });
  const { names, places } = index.labels;
  const sets = names.map(name => (multiple ? labelsIn(name) : [name]));
  const textAt = keepLast((sample): OpenedText => {
    const { record, name, line } = recordAt(sample);
    const { first, second, ...labeled } = labeledRecord(record, columns, form);
    const { ids, secondAt } = encoder.encode(first, second, maxLength);
    return { ids, secondAt, ...labeled, file: name, line };
  });
  return {
    texts: listOf(index.samples, textAt),
    multiple,
    labelsOf: sample => sets[places[sample] ?? -1] ?? [],
    labels: regression ? [] : labels.length > 0 ? labels : [...new Set(sets.flat())].sort(byNumberOrName),
    index,
    content,
  };
}

/** The columns of the first sample, which all samples have. @throws DataError if it lacks them */
async function peek(input: LabeledInOrderInput, files: readonly DataFile[]) {
  const problems = new DataProblems();
  let [columns, formatReason]: [LabeledColumns | undefined, string] = [undefined, ''];
  const samples = labeledSamples(input, files, {
    problems,
    onFirst: (found, glue) => {
      const texts = found.second === undefined ? `"${found.first}"` : `"${found.first}" with "${found.second}"`;
      columns = found;
      formatReason = `${glue ? `${describeGlue(glue)}: ` : ''}${texts} with "${found.label}"`;
    },
  });
  await samples.next();
  await samples.return(undefined);
  if (columns === undefined) {
    problems.end();
    throw noSample(files);
  }
  const found: LabeledColumns = columns;
  return { columns: found, formatReason };
}
