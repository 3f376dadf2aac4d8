/** Large data of classifiers, whose texts are tokenized when they are asked for: opened after one pass over its samples. */
import { existsSync } from 'node:fs';
import { DataProblems, noSample } from '../data-error.ts';
import { createSegmentEncoder } from '../example/segment-encoder.ts';
import { describeGlue } from '../glue.ts';
import { type LabeledColumns, type LabeledText, type LoadLabeledInput, labeledRecord, labeledSamples } from '../load/load-labeled.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import { byNumberOrName } from '../read/record-fields.ts';
import { type List, listOf } from '../tokens/example-store.ts';
import { fingerprintOf } from '../tokens/fingerprint.ts';
import type { LargeData } from '../tokens/large-data.ts';
import { openTokenCache } from '../tokens/token-cache.ts';
import type { FindParams } from './find-params.ts';
import { labeledDecider } from './labeled-decider.ts';
import { keepLast, openFiles, recordReader } from './lazy-examples.ts';
import type { LineIndex } from './line-index.ts';
import { areCopied, openIndex, whyFilesDecide } from './open-index.ts';
import { NoPlacesError } from './record-ranges.ts';

export interface LabeledInOrderInput extends Omit<LoadLabeledInput, 'ranks' | 'multiple'> {
  readonly large: LargeData;
  /** Data of fewer bytes is tokenized first. */
  readonly lazyBytes: number;
  readonly segmentBytes?: number;
  readonly onScan?: FindParams['onScan'];
}

/** A text before the labels have places. */
export type OpenedText = Omit<LabeledText, 'target'> & {
  /** The number to predict; 0 for a class. */
  readonly value: number;
};

export interface LabeledInOrder {
  readonly texts: List<OpenedText>;
  /** The label of a text, which is not tokenized for it; '' for a regression. */
  label(sample: number): string;
  /** By id; empty for a regression. */
  readonly labels: readonly string[];
  readonly index: LineIndex;
  /** Identifies the texts, wherever their files are. */
  readonly content: string;
}

/** Returns the texts, the reason why all are tokenized first, or undefined for small data. @throws DataError as `loadLabeled` does */
export async function openLabeledInOrder(input: LabeledInOrderInput): Promise<LabeledInOrder | { readonly reason: string } | undefined> {
  const { columns: renames, regression, labels, maxLength, maxSamples, seed, large } = input;
  const files = await listDataFiles(input.paths);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (totalBytes < input.lazyBytes) return undefined;
  const obstacle = whyFilesDecide(files);
  if (obstacle !== undefined) return { reason: obstacle };
  const { columns, formatReason } = await peek(input, files);
  const settings = { columns: renames, found: columns, regression, labels, ...(maxSamples !== undefined && { maxSamples, seed }) };
  const open = openFiles(files);
  try {
    const { content, key } = await fingerprintOf({ settings, maxLength }, large, files);
    const cache = await openTokenCache(large, key, totalBytes);
    const lines = { columns: renames, format: 'text_label', first: undefined } as const;
    const form = { columns, regression, labels };
    const decide = labeledDecider(form);
    const index = await openIndex(
      () => ({
        files,
        settings: { seed, ...(maxSamples !== undefined && { maxSamples }) },
        lines,
        deciders: () => ({ decide, check: decide }),
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
    const textAt = keepLast((sample): OpenedText => {
      const { record, name, line } = recordAt(sample);
      const { first, second, label, value } = labeledRecord(record, columns, { regression, labels });
      const { ids, secondAt } = encoder.encode(first, second, maxLength);
      return { ids, secondAt, label, value, file: name, line };
    });
    return {
      texts: listOf(index.samples, textAt),
      label: sample => names[places[sample] ?? -1] ?? '',
      labels: regression ? [] : labels.length > 0 ? labels : [...names].sort(byNumberOrName),
      index,
      content,
    };
  } catch (error) {
    open.close();
    if (error instanceof NoPlacesError) return { reason: error.message };
    throw error;
  }
}

/** The columns of the first sample, which all have. @throws DataError where it lacks them */
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
