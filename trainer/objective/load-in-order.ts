/** Large training data, of which no sample has to be tokenized before the first batches. */

import path from 'node:path';
import { DataError } from '../data/data-error.ts';
import { drawFrom } from '../data/draw.ts';
import type { LineIndex } from '../data/lazy/line-index.ts';
import { type OpenedInOrder, openInOrder } from '../data/lazy/open-lazy.ts';
import type { SampleLabels } from '../data/lazy/sample-labels.ts';
import { describeData } from '../data/shown/data-report.ts';
import { previewExamples } from '../data/shown/preview.ts';
import { splitPlaces, splitSamples } from '../data/split.ts';
import type { Examples } from '../data/tokens/example-store.ts';
import { keepTokens } from '../data/tokens/keep-tokens.ts';
import { readTokens } from '../model/known-tokens.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { logSplit } from './data-parts.ts';
import { completionsOf, datasetSettings, type LoadDataParams, largeData, loadPart, PREVIEW, type RunData } from './load-data.ts';

/** Size in bytes from which data is tokenized on demand: smaller data takes ten seconds on two cores. */
export const LAZY_BYTES = 32 * 2 ** 20;

export interface InOrderData extends RunData {
  /** Identifies the training samples. */
  readonly digest: string;
}

export interface InOrderParams extends LoadDataParams {
  /** The batching of the resumed run; see `TrainerState`. */
  readonly batching?: 1 | 2 | 3 | undefined;
  /** Smaller data is tokenized first; 32 MB by default. */
  readonly lazyBytes?: number | undefined;
}

/**
 * Opens the training data after one pass over its lines.
 * @returns undefined if the data is small, if the resumed run batched it differently, or if the batches depend on all tokens
 * @throws as `loadTrainingData` does
 */
export async function loadInOrder(params: InOrderParams): Promise<InOrderData | undefined> {
  const { recipe, batching } = params;
  if (batching === 1 || batching === 2 || recipe.data.train.length === 0) return undefined;
  if (params.images) {
    logTokenizesFirst(params, 'the samples have images, whose sizes decide their lengths');
    return undefined;
  }
  const opened = await open(params);
  if (opened === undefined) return undefined;
  if ('reason' in opened) {
    logTokenizesFirst(params, opened.reason);
    return undefined;
  }
  return parted(params, opened);
}

/** Logs why the data is tokenized first. @throws DataError if the resumed run started before all samples were tokenized */
export function logTokenizesFirst({ job, batching }: Pick<InOrderParams, 'job' | 'batching'>, reason: string): void {
  if (batching === 3)
    throw new DataError({
      problem: `the run began before all samples were tokenized, which is not possible any more: ${reason}`,
      advice: 'Restore the recipe, the data and the model that the run began with, or start a new run',
    });
  job.log('info', `All samples are tokenized before the first update: ${reason}.`);
}

/** Opens the data; returns undefined for small data. */
async function open(params: InOrderParams): Promise<OpenedInOrder | { readonly reason: string } | undefined> {
  const { recipe, base, job, context, lazyBytes = LAZY_BYTES } = params;
  const { tokenizer, chatRenderer, model } = base;
  job.phase('data', `reading ${recipe.data.train.join(', ')}`);
  const opened = await openInOrder({
    paths: recipe.data.train.map(file => path.resolve(context.baseDir, file)),
    settings: { ...datasetSettings(params, undefined), maxSamples: recipe.data.max_samples },
    tokenizer,
    chatRenderer,
    maxLength: recipe.max_length,
    maxPositions: model.maxPositions,
    large: largeData(params),
    lazyBytes,
    whyFirst: whyLengthsDecide(recipe) ?? whyIdsAreChecked(params),
    onScan: scanProgress(params),
  });
  job.checkStop();
  return opened;
}

const whyLengthsDecide = ({ packing }: Recipe): string | undefined =>
  packing ? 'packing puts samples into rows by their lengths' : undefined;

const whyIdsAreChecked = ({ base: { tokenizer, model } }: LoadDataParams): string | undefined =>
  tokenizer.vocabularySize > readTokens(model) ? 'the tokenizer has ids that the model does not read' : undefined;

/** Reports rate and remaining time of the pass over all lines; stops when the job should stop. */
export function scanProgress({ job }: Pick<LoadDataParams, 'job'>): (bytes: number, totalBytes: number) => Promise<void> {
  let report: ((done: number, message?: string) => void) | undefined;
  return async (bytes, totalBytes) => {
    job.checkStop();
    report ??= job.progress('scan', totalBytes, 'bytes');
    report(bytes, 'finding and checking samples');
    await job.yieldToEvents();
  };
}

/** Splits the data into training and held-out samples. */
async function parted(params: InOrderParams, opened: OpenedInOrder): Promise<InOrderData> {
  const { recipe, base, job } = params;
  const { examples, content } = opened;
  for (const line of reportOf(opened, recipe.data.train.length).split('\n')) job.log('info', line);
  job.note(
    'info',
    `the first samples as the model sees them, what is trained between ⟦ and ⟧:\n${previewExamples(examples, base.tokenizer, PREVIEW)}`,
  );
  const { val_size: validation, seed, data } = recipe;
  const labels = completionsOf(params, opened.labels);
  const whole = `${examples.length}:${content}`;
  if (data.eval.length > 0) {
    const { examples: held } = await loadPart(params, data.eval, { samples: data.eval_max_samples, labels: opened.labels });
    return { train: examples, held, labels, digest: whole };
  }
  const split = splitOf(examples, { validation, seed }, labels.length > 0);
  if (split === undefined) return { train: examples, held: examples.select([]), labels, digest: whole };
  const { length } = split.train;
  logSplit(job, { held: split.validation.length, trained: length });
  const held = examples.select(drawFrom([...split.validation], { count: data.eval_max_samples, seed }));
  return {
    train: examples.select(split.train),
    held: opened.tokenized ? held : await kept(params, held),
    labels,
    digest: `${length}:${content}-${validation}-${seed}`,
  };
}

/** The indices of both parts, with labels in equal shares; undefined if nothing is held out. */
function splitOf(examples: Examples, settings: { readonly validation: number; readonly seed: number }, isLabeled: boolean) {
  if (!isLabeled || settings.validation === 0) return splitPlaces(examples.length, settings);
  const labels = Array.from({ length: examples.length }, (_, sample) => examples.label(sample) ?? '');
  return splitSamples({ count: examples.length, ...settings, labels });
}

function reportOf({ tokenized, index, labels }: OpenedInOrder, files: number): string {
  if (tokenized) return describeData(tokenized.report);
  return index
    ? describeIndex(
        index,
        files,
        countLabels(labels, index.labels, name => [name]),
      )
    : '';
}

/** A summary of a pass over the samples, for the log. @param counts samples of each label to show */
export function describeIndex(index: LineIndex, files: number, counts: LabelCounts): string {
  const { samples, read, drawnFrom = read, dropped, format, formatReason } = index;
  const lost = Object.entries(dropped).map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`);
  const found = drawnFrom > read ? `${read} of ${drawnFrom} samples, drawn at random,` : `${read} samples`;
  return [
    `format ${format}: ${formatReason}`,
    `${found} from ${files} ${files === 1 ? 'file or folder' : 'files or folders'}, ${samples} kept${lost.length > 0 ? `, dropped: ${lost.join(', ')}` : ''}`,
    ...(counts.size > 0 ? [`labels: ${Array.from(counts, ([label, count]) => `${label} ${count}`).join(', ')}`] : []),
    'Samples are tokenized when training needs them.',
  ].join('\n');
}

/** The number of samples per label, in the order in which labels are shown. */
export type LabelCounts = ReadonlyMap<string, number>;

/** @param labelsIn returns the labels that a name stands for */
export function countLabels(
  labels: readonly string[],
  { names, places }: SampleLabels,
  labelsIn: (name: string) => readonly string[],
): LabelCounts {
  const samples = new Uint32Array(names.length);
  for (const place of places) samples[place] = (samples[place] as number) + 1;
  const counts = new Map(labels.map(label => [label, 0]));
  for (const [place, name] of names.entries())
    for (const label of labelsIn(name)) if (counts.has(label)) counts.set(label, (counts.get(label) ?? 0) + (samples[place] as number));
  return counts;
}

/** Keeps the tokens of held-out samples in memory, because they are evaluated repeatedly. */
function kept({ job }: LoadDataParams, held: Examples): Promise<Examples> {
  const report = job.progress('tokenize', held.length, 'samples');
  return keepTokens(held, async done => {
    job.checkStop();
    report(done, 'held-out samples');
    await job.yieldToEvents();
  });
}
