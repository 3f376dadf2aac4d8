/** The study's data and bases as folders and files in one folder: parts of the sources, and small vision models to tune. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../../trainer/files/durable-file.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import type { Settings } from './arms.ts';
import type { StudyJobs } from './jobs.ts';
import { BASE_SEED, type DataName, planOf, type TaskPlan } from './plan.ts';
import { RESNET_CONFIG, VIT_CONFIG, writeRandomModel } from './vision-bases.ts';

/** The sources that `scripts/bench-study.mjs` downloaded: folders of images by class, or files with one JSON sample per line. */
export interface StudySources {
  readonly data: Readonly<Record<DataName, { readonly train: string; readonly heldOut: string }>>;
  readonly models: { readonly minilm: string; readonly smollm2: string };
}

export interface TaskData {
  readonly model: string;
  readonly base: string;
  readonly train: string;
  readonly validation: string;
  readonly test: string;
}

export interface DataParams {
  readonly folder: string;
  readonly sources: StudySources;
  readonly jobs: StudyJobs;
}

/** Number of classes that the base knows; it was trained on images that are used for neither training nor validation. */
const BASE_CLASSES = 5;

/** Writes what a task needs; an existing base is reused. */
export async function dataOf(task: TaskPlan, params: DataParams): Promise<TaskData> {
  const { base, data } = task;
  const parts = data === 'digits' ? await digitParts(task, params) : await lineParts(task, params);
  const model = base === 'vit' || base === 'resnet' ? await pretrain(base, task.settings, params) : params.sources.models[base];
  return { ...parts, model, base: await fingerprint(model) };
}

async function fingerprint(model: string): Promise<string> {
  const { weights } = await openModel(model);
  try {
    return await weights.fingerprint();
  } finally {
    await weights.close();
  }
}

type Parts = Pick<TaskData, 'train' | 'validation' | 'test'>;

async function lineParts(task: TaskPlan, { folder, sources }: DataParams): Promise<Parts> {
  const lines = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n');
  const source = sources.data[task.data];
  const [all, heldOut] = [await lines(source.train), await lines(source.heldOut)];
  const { tune, validate, test } = task.samples;
  if (all.length < tune + validate || heldOut.length < test)
    throw new Error(`${task.name} takes ${tune} + ${validate} + ${test} samples, and there are ${all.length} + ${heldOut.length}`);
  const write = async (part: string, chosen: readonly string[]): Promise<string> => {
    const file = path.join(folder, `${task.name}-${planOf(task)}-${part}.jsonl`);
    await writeTextFile(file, `${chosen.join('\n')}\n`);
    return file;
  };
  return {
    train: await write('train', all.slice(0, tune)),
    validation: await write('validation', all.slice(tune, tune + validate)),
    test: await write('test', heldOut.slice(0, test)),
  };
}

async function digitParts(task: TaskPlan, { folder, sources }: DataParams): Promise<Parts> {
  const { tune, validate } = task.samples;
  const { train, heldOut } = sources.data.digits;
  const at = (part: string): string => path.join(folder, `${task.name}-${planOf(task)}-${part}`);
  return {
    train: await linkImages(train, at('train'), files => files.slice(0, tune)),
    validation: await linkImages(train, at('validation'), files => files.slice(tune, tune + validate)),
    test: heldOut,
  };
}

/** Links the images that `take` selects from each class; a class without any is omitted. */
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

/** Number of images per class reserved for training and validation. */
const RESERVED = 40;

/** @returns the folder of a model that knows the first five digits */
async function pretrain(name: 'vit' | 'resnet', settings: Settings, { folder, jobs, sources }: DataParams): Promise<string> {
  const at = (step: string): string => path.join(folder, `${name}-${step}`);
  const [random, run, base] = [at('random'), at('run'), at('base')];
  if (existsSync(path.join(base, 'preprocessor_config.json'))) return base;
  for (const old of [random, run, base]) await rm(old, { recursive: true, force: true });
  const images = await linkImages(sources.data.digits.train, at('images'), (files, label) =>
    Number(label) < BASE_CLASSES ? files.slice(RESERVED) : [],
  );
  await writeRandomModel(random, name === 'vit' ? VIT_CONFIG : RESNET_CONFIG, BASE_SEED);
  const result = await jobs.train(run, {
    ...settings,
    max_steps: -1,
    model: random,
    method: 'full',
    'data.train': images,
    val_size: 50,
    num_train_epochs: 40,
    per_device_train_batch_size: 32,
    learning_rate: 2e-3,
    lr_scheduler_type: 'cosine',
    batch_norm: 'updated',
    eval_strategy: 'no',
    seed: BASE_SEED,
  });
  const right = 100 * (result.after?.labels?.accuracy ?? Number.NaN);
  jobs.say(`${name}: trained from scratch on five digits, ${right.toFixed(1)}% right of 50 held-out images`);
  await jobs.exportMerged(run, base);
  await cp(path.join(random, 'preprocessor_config.json'), path.join(base, 'preprocessor_config.json'));
  return base;
}
