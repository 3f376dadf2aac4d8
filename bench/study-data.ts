/** The study's data and bases, as folders and files below one folder: parts of digits and of mails, and small vision models to tune. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TrainResult } from '../trainer/handlers/train/train-run.ts';
import type { StudyJobs } from './study-jobs.ts';
import { BASE_SEED, type PartPlan, type Settings } from './study-plan.ts';
import { RESNET_CONFIG, VIT_CONFIG, writeRandomModel } from './study-start.ts';

/** The sources that `scripts/bench-study.mjs` has fetched. */
export interface StudySources {
  readonly digits: { readonly train: string; readonly test: string };
  readonly spam: { readonly train: string; readonly heldOut: string };
  readonly models: { readonly minilm: string; readonly smollm2: string };
}

export interface PartData {
  readonly model: string;
  readonly train: string;
  readonly validation: string;
  readonly test: string;
}

export interface DataParams {
  readonly folder: string;
  readonly sources: StudySources;
  readonly jobs: StudyJobs;
  /** Bases that are made are not made again. */
  readonly keepBases: boolean;
}

/** The base knows only these classes, and was made of what is neither tuned nor validated on. */
const BASE_CLASSES = 5;

export async function dataOf(part: PartPlan, params: DataParams): Promise<PartData> {
  if (part.name === 'minilm' || part.name === 'smollm2') return mailParts(part, params, params.sources.models[part.name]);
  const { base, ...data } = await digitParts(part, params);
  return { ...data, model: await pretrain(part.name, base, part.settings, params) };
}

async function mailParts({ name, samples }: PartPlan, { folder, sources }: DataParams, model: string): Promise<PartData> {
  const lines = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n');
  const [all, heldOut] = [await lines(sources.spam.train), await lines(sources.spam.heldOut)];
  const { tune, validate, test } = samples;
  if (all.length < tune + validate || heldOut.length < test)
    throw new Error(`${name} takes ${tune} + ${validate} + ${test} mails, and there are ${all.length} + ${heldOut.length}`);
  const write = async (part: string, chosen: readonly string[]): Promise<string> => {
    const file = path.join(folder, `${name}-${part}.jsonl`);
    await writeFile(file, `${chosen.join('\n')}\n`);
    return file;
  };
  return {
    model,
    train: await write('train', all.slice(0, tune)),
    validation: await write('validation', all.slice(tune, tune + validate)),
    test: await write('test', heldOut.slice(0, test)),
  };
}

async function digitParts(
  { samples: { tune, validate } }: PartPlan,
  { folder, sources: { digits } }: DataParams,
): Promise<Omit<PartData, 'model'> & { readonly base: string }> {
  const at = (name: string): string => path.join(folder, 'digits', name);
  const used = tune + validate;
  return {
    train: await linkImages(digits.train, at('train'), files => files.slice(0, tune)),
    validation: await linkImages(digits.train, at('validation'), files => files.slice(tune, used)),
    base: await linkImages(digits.train, at('base'), (files, label) => (Number(label) < BASE_CLASSES ? files.slice(used) : [])),
    test: digits.test,
  };
}

/** Links to the images that `take` picks of each class; a class without any is left out. */
async function linkImages(from: string, to: string, take: (files: readonly string[], label: string) => readonly string[]): Promise<string> {
  await rm(to, { recursive: true, force: true });
  for (const label of (await readdir(from)).sort()) {
    const names = (await readdir(path.join(from, label))).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    const taken = take(names, label);
    if (taken.length > 0) await mkdir(path.join(to, label), { recursive: true });
    for (const name of taken) await symlink(path.join(from, label, name), path.join(to, label, name));
  }
  return to;
}

/** @returns the folder of a model that knows the first five digits */
async function pretrain(name: 'vit' | 'resnet', data: string, settings: Settings, params: DataParams): Promise<string> {
  const { folder, jobs, keepBases } = params;
  const stepFolder = (step: string): string => path.join(folder, `${name}-${step}`);
  const [random, run, base] = [stepFolder('random'), stepFolder('run'), stepFolder('base')];
  if (keepBases && existsSync(path.join(base, 'preprocessor_config.json'))) return base;
  for (const old of [random, run, base]) await rm(old, { recursive: true, force: true });
  await writeRandomModel(random, name === 'vit' ? VIT_CONFIG : RESNET_CONFIG, BASE_SEED);
  const result = await jobs.train(run, {
    ...settings,
    model: random,
    method: 'full',
    'data.train': data,
    val_size: 50,
    num_train_epochs: 40,
    per_device_train_batch_size: 32,
    learning_rate: 2e-3,
    lr_scheduler_type: 'cosine',
    batch_norm: 'updated',
    eval_strategy: 'no',
    seed: BASE_SEED,
  });
  jobs.say(`${name}: trained from scratch on five digits, ${share(result)} right of 50 held-out images`);
  await jobs.exportMerged(run, base);
  await cp(path.join(random, 'preprocessor_config.json'), path.join(base, 'preprocessor_config.json'));
  return base;
}

const share = ({ after }: TrainResult): string => `${(100 * (after?.labels?.accuracy ?? Number.NaN)).toFixed(1)}%`;
