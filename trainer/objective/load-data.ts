/** Loads and tokenizes training and held-out samples from the data settings of a recipe, with a report and a preview in the log. */

import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ContextPart } from '../data/chat/context-parts.ts';
import { DataError } from '../data/data-error.ts';
import { drawFrom } from '../data/draw.ts';
import {
  type Dataset,
  type DatasetSettings,
  type LabelCompletion,
  type LoadProgress,
  labelCompletions,
  loadDataset,
} from '../data/load/load-dataset.ts';
import { previewExamples } from '../data/shown/preview.ts';
import { splitExamples } from '../data/split.ts';
import type { Examples } from '../data/tokens/example-store.ts';
import type { LargeData } from '../data/tokens/large-data.ts';
import type { Example } from '../data/types.ts';
import type { ImageReading } from '../data/vision/sample-image.ts';
import type { Job } from '../job/job.ts';
import type { TextBase } from '../job/open-base.ts';
import { type KnownTokens, readTokens, unknownToken } from '../model/known-tokens.ts';
import type { AnyModel, CausalModel } from '../model/model-spec.ts';
import { trainedRolesOf } from '../protocol/recipe/trained-roles.ts';
import { grouped } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import { logSplit } from './data-parts.ts';
import { readFiles } from './read-files.ts';
import type { ReadParams } from './task-setup.ts';

/** Limits of the log's preview: enough to see what is trained, and where samples are cut. */
export const PREVIEW = { samples: 3, maxTokens: 200 };

export interface RunData {
  /** Empty if only the held-out part was requested. */
  readonly train: Examples;
  readonly held: Examples;
  /** The text that the model generates for each label; empty for unlabeled data. */
  readonly labels: readonly LabelCompletion[];
}

export interface LoadDataParams extends ReadParams {
  readonly base: TextBase<CausalModel>;
  /** Present if the images of samples are read. */
  readonly images?: ImageReading | undefined;
}

/** @throws RunError 'no-data' if the recipe names no training data; DataError for malformed data */
export async function loadTrainingData(params: LoadDataParams): Promise<RunData> {
  const { recipe } = params;
  if (recipe.data.train.length === 0)
    throw new RunError('no-data', 'the recipe names no training data', 'Set data.train to a json, jsonl, csv, parquet or text file');
  const dataset = await loadPart(params, recipe.data.train, { samples: recipe.data.max_samples });
  if (recipe.data.eval.length > 0) {
    const held = await loadPart(params, recipe.data.eval, { samples: recipe.data.eval_max_samples, labels: dataset.labels });
    return { train: dataset.examples, held: held.examples, labels: completionsOf(params, dataset.labels) };
  }
  const { train, validation } = splitExamples(dataset.examples, { validation: recipe.val_size, seed: recipe.seed });
  if (validation.length > 0) logSplit(params.job, { held: validation.length, trained: train.length });
  const places = Array.from({ length: validation.length }, (_, index) => index);
  const held = validation.select(drawFrom(places, { count: recipe.data.eval_max_samples, seed: recipe.seed }));
  return { train, held, labels: completionsOf(params, dataset.labels) };
}

/** Loads only the held-out samples, the same as a training run would hold out. @throws RunError 'no-data' if there are none */
export async function loadHeldData(params: LoadDataParams): Promise<RunData> {
  const { recipe } = params;
  if (recipe.data.eval.length === 0) {
    if (recipe.val_size > 0) return loadTrainingData(params);
    throw new RunError('no-data', 'the recipe names no held-out data to evaluate on', 'Set data.eval, or val_size');
  }
  const held = await loadPart(params, recipe.data.eval, { samples: recipe.data.eval_max_samples, labels: params.labels });
  return { train: held.examples.select([]), held: held.examples, labels: completionsOf(params, held.labels) };
}

interface PartSettings {
  readonly samples?: number;
  readonly labels?: readonly string[];
}

/** Loads the samples of one part of the data. */
export async function loadPart(params: LoadDataParams, files: readonly string[], part: PartSettings): Promise<Dataset> {
  const { recipe, base, job } = params;
  const settings = { ...datasetSettings(params, part.labels), maxSamples: part.samples };
  const dataset = await readFiles(params, files, paths =>
    loadDataset({
      paths,
      settings,
      tokenizer: base.tokenizer,
      chatRenderer: base.chatRenderer,
      maxLength: recipe.max_length,
      maxPositions: base.model.maxPositions,
      onProgress: tokenizeProgress(job),
      images: params.images,
      ...(params.isBrief !== true && { large: largeData(params) }),
    }),
  );
  job.note(
    'info',
    `the first samples as the model sees them, what is trained between ⟦ and ⟧:\n${previewExamples(dataset.examples, base.tokenizer, PREVIEW)}`,
  );
  if (dataset.examples.largestId >= readTokens(base.model)) checkVocabulary(dataset.examples, base.model);
  return dataset;
}

/**
 * Size in bytes from which data is tokenized in threads and cached: smaller data takes a second or two, and its tokens take little memory.
 */
export const LARGE_BYTES = 4 * 2 ** 20;
/** Maximum number of threads. Each holds the tokenizer: about 100 MB, 300 MB for the largest vocabularies. */
const MAX_THREADS = 8;

export function largeData({
  base,
  context,
  job,
}: Pick<LoadDataParams, 'context' | 'job'> & { readonly base: Pick<TextBase<AnyModel>, 'tokenizer' | 'now'> }): LargeData {
  return {
    tokenizer: base.tokenizer.input,
    now: base.now?.() ?? new Date(),
    cacheDir: path.join(context.cacheDir, 'tokens'),
    threads: Math.min(MAX_THREADS, availableParallelism()),
    threadFile: fileURLToPath(new URL('./tokenize.js', import.meta.url)),
    minBytes: LARGE_BYTES,
    log: (level, message) => job.log(level, message),
  };
}

/** Reports rate and remaining time, from the number of bytes read; stops when the job should stop. */
function tokenizeProgress(job: Job): (progress: LoadProgress) => void {
  let report: ((done: number, message?: string) => void) | undefined;
  return ({ bytes, totalBytes, tokens, kept }) => {
    job.checkStop();
    if (totalBytes < LARGE_BYTES) return;
    report ??= job.progress('tokenize', totalBytes, 'bytes');
    report(Math.round(bytes), `${grouped(kept)} samples, ${grouped(tokens)} tokens`);
  };
}

export function datasetSettings(
  { recipe, labels }: Pick<LoadDataParams, 'recipe' | 'labels'>,
  known: readonly string[] | undefined,
): DatasetSettings {
  const { data } = recipe;
  return {
    format: data.format,
    columns: data.columns,
    labels: data.labels.length > 0 ? data.labels : (known ?? labels ?? []),
    promptTemplate: data.prompt,
    chat: 'auto',
    completionOnly: data.completion_only,
    trainedTurns: data.trained_turns,
    trainedRoles: trainedRolesOf(recipe),
    contextParts: contextPartsOf(data),
    truncation: data.truncation,
    textSplit: 'file',
    seed: recipe.seed,
  };
}

/** The parts of answers that are not trained; undefined if all are. */
function contextPartsOf({ train_reasoning, train_end_of_turn }: LoadDataParams['recipe']['data']): readonly ContextPart[] | undefined {
  const parts: ContextPart[] = [...(train_reasoning ? [] : ['reasoning' as const]), ...(train_end_of_turn ? [] : ['end_of_turn' as const])];
  return parts.length === 0 ? undefined : parts;
}

/** The label texts that the model has to write. */
export const completionsOf = (params: LoadDataParams, labels: readonly string[]): LabelCompletion[] =>
  labels.length === 0
    ? []
    : labelCompletions(labels, {
        settings: datasetSettings(params, labels),
        tokenizer: params.base.tokenizer,
        chatRenderer: params.base.chatRenderer,
      });

/** @throws DataError for a text with a token that the model does not read */
export function checkVocabulary(examples: Iterable<Pick<Example, 'ids' | 'file' | 'line'>>, known: KnownTokens): void {
  for (const { ids, file, line } of examples) {
    const unknown = unknownToken(ids, known);
    if (unknown) throw new DataError({ file, line, ...unknown });
  }
}
