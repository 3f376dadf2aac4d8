/** The training and held-out samples of a task whose samples have no label. */
import { drawFrom } from '../data/draw.ts';
import { splitSamples } from '../data/split.ts';
import type { Job } from '../job/job.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { counted, grouped } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import type { ReadParams } from './task-setup.ts';

export interface DataParts<Sample> {
  /** Empty if only the held-out part was requested. */
  readonly train: readonly Sample[];
  readonly held: readonly Sample[];
}

export interface PartLoader<Sample> {
  /** Noun for messages: 'pair'. */
  readonly noun: string;
  readonly load: (files: readonly string[], maxSamples: number | undefined) => Promise<readonly Sample[]>;
}

/** Logs how many samples are held out from training. */
export const logSplit = (job: Job, { held, trained }: { readonly held: number; readonly trained: number }, noun = 'sample'): void =>
  job.log(
    'info',
    `${counted(held, noun)} ${held === 1 ? 'is' : 'are'} held out for evaluation, ${grouped(trained)} ${trained === 1 ? 'is' : 'are'} trained on`,
  );

/** @param files that data.train may name, described for messages @throws RunError 'no-data' */
export function checkNamed({ data, val_size: validation }: Recipe, part: 'train' | 'held', files: string): void {
  if ((part === 'train' || data.eval.length === 0) && data.train.length === 0)
    throw new RunError('no-data', 'the recipe names no training data', `Set data.train to ${files}`);
  if (part === 'held' && data.eval.length === 0 && validation === 0)
    throw new RunError('no-data', 'the recipe names no held-out data to evaluate on', 'Set data.eval, or val_size');
}

/** @throws RunError 'no-data', and the errors of `load` */
export async function loadParts<Sample>(
  { recipe, job }: ReadParams,
  part: 'train' | 'held',
  { noun, load }: PartLoader<Sample>,
): Promise<DataParts<Sample>> {
  const { data, val_size: validation, seed } = recipe;
  checkNamed(recipe, part, 'a json, jsonl, csv or parquet file');
  const all = part === 'train' || data.eval.length === 0 ? await load(data.train, data.max_samples) : [];
  if (data.eval.length > 0) return { train: all, held: await load(data.eval, data.eval_max_samples) };
  if (validation === 0) return { train: all, held: [] };
  const split = splitSamples({ count: all.length, validation, seed });
  const pick = (indices: readonly number[]): Sample[] => indices.flatMap(index => all[index] ?? []);
  logSplit(job, { held: split.validation.length, trained: split.train.length }, noun);
  return { train: pick(split.train), held: drawFrom(pick(split.validation), { count: data.eval_max_samples, seed }) };
}
