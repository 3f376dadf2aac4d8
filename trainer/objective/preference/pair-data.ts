/** From the data settings of a recipe to tokenized pairs to train on and to hold out. */
import { drawFrom } from '../../data/draw.ts';
import { loadPairs } from '../../data/load-pairs.ts';
import { previewExamples } from '../../data/preview.ts';
import { splitSamples } from '../../data/split.ts';
import type { Pair } from '../../data/types.ts';
import type { TextBase } from '../../job/open-base.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { RunError } from '../../run-error.ts';
import { checkVocabulary, datasetSettings } from '../load-data.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';

/** In the log: enough to see what is compared. */
const PREVIEW = { samples: 4, maxTokens: 200 };

export interface PairData {
  /** Empty where only the held-out part was asked for. */
  readonly train: readonly Pair[];
  readonly held: readonly Pair[];
}

export interface PairDataParams extends ReadParams {
  readonly base: TextBase<CausalModel>;
}

/** @throws RunError 'no-data'; DataError for data that is malformed */
export async function loadPairData(params: PairDataParams, part: 'train' | 'held'): Promise<PairData> {
  const { data, val_size: validation, seed } = params.recipe;
  const needsTraining = part === 'train' || data.eval.length === 0;
  if (needsTraining && data.train.length === 0)
    throw new RunError('no-data', 'the recipe names no training data', 'Set data.train to a json, jsonl, csv or parquet file');
  if (part === 'held' && data.eval.length === 0 && validation === 0)
    throw new RunError('no-data', 'the recipe names no held-out data to evaluate on', 'Set data.eval, or val_size');
  const all = needsTraining ? await load(params, data.train, data.max_samples) : [];
  if (data.eval.length > 0) return { train: all, held: await load(params, data.eval, data.eval_max_samples) };
  if (validation === 0) return { train: all, held: [] };
  const split = splitSamples({ count: all.length, validation, seed });
  const pick = (indices: readonly number[]): Pair[] => indices.flatMap(index => all[index] ?? []);
  params.job.log('info', `${split.validation.length} pairs are held out for evaluation, ${split.train.length} are trained on`);
  return { train: pick(split.train), held: drawFrom(pick(split.validation), { count: data.eval_max_samples, seed }) };
}

async function load(params: PairDataParams, files: readonly string[], maxSamples: number | undefined): Promise<readonly Pair[]> {
  const { recipe, base, job } = params;
  const { pairs } = await readFiles(params, files, paths =>
    loadPairs({
      paths,
      settings: { ...datasetSettings(params, undefined), maxSamples },
      tokenizer: base.tokenizer,
      chatRenderer: base.chatRenderer,
      maxLength: recipe.max_length,
      maxPositions: base.model.maxPositions,
    }),
  );
  const sides = pairs.flatMap(({ chosen, rejected, file, line }) => [
    { ...chosen, file, line },
    { ...rejected, file, line },
  ]);
  job.note(
    'info',
    `the first pairs as the model sees them, the better answer first, what is compared between ⟦ and ⟧:\n${previewExamples(sides, base.tokenizer, PREVIEW)}`,
  );
  checkVocabulary(sides, base.model.vocabularySize);
  return pairs;
}
