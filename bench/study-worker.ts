/** The study's work, in one process that TensorFlow's environment was set for: prepares data and bases, makes run after run, keeps what each gave. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobContext, JobRequest } from '../trainer/protocol/job-messages.ts';
import { parseRecipe } from '../trainer/protocol/parse-recipe.ts';
import type { Recipe } from '../trainer/protocol/recipe-schema.ts';
import { runJob } from '../trainer/run/handlers.ts';
import { Job } from '../trainer/run/job.ts';
import type { TrainResult } from '../trainer/run/train-run.ts';
import {
  BASE_SEED,
  type Family,
  type PartName,
  type PartPlan,
  type PlannedRun,
  parts,
  type Settings,
  testRuns,
  tuningRuns,
  waysOf,
} from './study-plan.ts';
import { earlierRuns, type StudyRun, writeStudy } from './study-report.ts';
import { RESNET_CONFIG, VIT_CONFIG, writeRandomModel } from './study-start.ts';

/** What `scripts/bench-study.mjs` hands over. */
export interface StudyRequest {
  readonly cacheDir: string;
  readonly results: string;
  readonly digits: { readonly train: string; readonly test: string };
  readonly spam: { readonly train: string; readonly heldOut: string };
  readonly minilm: string;
  readonly threads: number;
  readonly parts: readonly PartName[];
  /** Go on with a study of the same plan: runs that are in its results, and bases that are made, are not made again. */
  readonly resume: boolean;
}

/** Of each class: images to tune on, and images to choose the learning rate by; the rest of the first five classes made the base. */
const TUNE = 30;
const VALIDATE = 10;
const BASE_CLASSES = 5;
/** Mails to tune on, and to choose by, of the demo's 240; and the first of its 200 held-out ones to test on. */
const MAILS = { tune: 180, test: 120 };

interface PartData {
  readonly model: string;
  readonly train: string;
  readonly validation: string;
  readonly test: string;
}

const request = JSON.parse(process.argv[2] as string) as StudyRequest;
const folder = path.join(request.cacheDir, 'study');
const context: JobContext = { cacheDir: request.cacheDir, baseDir: folder, hub: { offline: true } };
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const started = performance.now();

const work = (job: JobRequest): Promise<unknown> => runJob(job, new Job(() => undefined));

function recipeOf(settings: Settings): Recipe {
  const overrides = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const { recipe, problems } = parseRecipe('', { overrides });
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('; '));
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

async function digitParts(): Promise<Omit<PartData, 'model'> & { readonly base: string }> {
  const { train, test } = request.digits;
  const at = (name: string): string => path.join(folder, 'digits', name);
  return {
    train: await linkImages(train, at('train'), files => files.slice(0, TUNE)),
    validation: await linkImages(train, at('validation'), files => files.slice(TUNE, TUNE + VALIDATE)),
    base: await linkImages(train, at('base'), (files, label) => (Number(label) < BASE_CLASSES ? files.slice(TUNE + VALIDATE) : [])),
    test,
  };
}

/** @returns the folder of a model that knows the first five digits */
async function pretrain(name: 'vit' | 'resnet', data: string, settings: Settings): Promise<string> {
  const [random, run, base] = ['random', 'run', 'base'].map(step => path.join(folder, `${name}-${step}`)) as [string, string, string];
  if (request.resume && existsSync(path.join(base, 'preprocessor_config.json'))) return base;
  for (const old of [random, run, base]) await rm(old, { recursive: true, force: true });
  await writeRandomModel(random, name === 'vit' ? VIT_CONFIG : RESNET_CONFIG, BASE_SEED);
  const recipe = recipeOf({
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
  const result = (await work({ kind: 'train', context, recipe, runDir: run })) as TrainResult;
  say(`${name}: trained from scratch on five digits, ${share(result)} right of 50 held-out images`);
  await work({ kind: 'export', context, adapter: run, format: 'merged', outputDir: base, overwrite: true });
  await cp(path.join(random, 'preprocessor_config.json'), path.join(base, 'preprocessor_config.json'));
  return base;
}

const share = ({ after }: TrainResult): string => `${(100 * (after?.labels?.accuracy ?? Number.NaN)).toFixed(1)}%`;

async function spamParts(): Promise<PartData> {
  const lines = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n');
  const [all, heldOut] = [await lines(request.spam.train), await lines(request.spam.heldOut)];
  const write = async (name: string, chosen: readonly string[]): Promise<string> => {
    const file = path.join(folder, `spam-${name}.jsonl`);
    await writeFile(file, `${chosen.join('\n')}\n`);
    return file;
  };
  return {
    model: request.minilm,
    train: await write('train', all.slice(0, MAILS.tune)),
    validation: await write('validation', all.slice(MAILS.tune)),
    test: await write('test', heldOut.slice(0, MAILS.test)),
  };
}

async function dataOf(part: PartPlan): Promise<PartData> {
  if (part.name === 'minilm') return spamParts();
  const { base, ...data } = await digitParts();
  return { ...data, model: await pretrain(part.name, base, part.settings) };
}

async function make(part: PartPlan, data: PartData, { purpose, way, learningRate, seed }: PlannedRun): Promise<StudyRun> {
  const runDir = path.join(folder, `${part.name}-tuned`);
  await rm(runDir, { recursive: true, force: true });
  const recipe = recipeOf({
    ...part.settings,
    ...way.settings,
    model: data.model,
    'data.train': data.train,
    'data.eval': purpose === 'tune' ? data.validation : data.test,
    learning_rate: learningRate,
    warmup_ratio: 0.1,
    eval_strategy: 'no',
    logging_steps: 10,
    recompute: 'none',
    threads: request.threads,
    seed,
  });
  const began = performance.now();
  const result = (await work({ kind: 'train', context, recipe, runDir })) as TrainResult;
  await rm(runDir, { recursive: true, force: true });
  return {
    part: part.name,
    purpose,
    way: way.name,
    family: way.family,
    learningRate,
    seed,
    before: result.before?.labels?.accuracy ?? Number.NaN,
    accuracy: result.after?.labels?.accuracy ?? Number.NaN,
    loss: result.after?.loss ?? Number.NaN,
    trainable: result.trainable,
    parameters: Math.round(result.trainable / result.trainableShare),
    steps: result.steps,
    samples: result.after?.samples ?? 0,
    seconds: (performance.now() - began) / 1000,
  };
}

/** The rate of the best validation accuracy, of equal ones that of the lower loss; a run that diverged counts as the worst. */
function bestRates(runs: readonly StudyRun[]): Map<Family, number> {
  const best = new Map<Family, StudyRun>();
  for (const run of runs) {
    const other = best.get(run.family);
    if (!other || run.accuracy > other.accuracy || (run.accuracy === other.accuracy && run.loss < other.loss)) best.set(run.family, run);
  }
  return new Map([...best].map(([family, { learningRate }]) => [family, learningRate]));
}

/** Each result is written as soon as it is there. */
async function study(part: PartPlan): Promise<void> {
  const data = await dataOf(part);
  const ways = waysOf(part);
  const known = request.resume ? await earlierRuns(request.results, part.name) : [];
  const runs: StudyRun[] = [];
  const all = async (planned: readonly PlannedRun[]): Promise<void> => {
    for (const one of planned) {
      runs.push(known.find(run => isSame(run, one)) ?? (await attempt(part, data, one)));
      await writeStudy(request.results, { part: part.name, runs, minutes: (performance.now() - started) / 60_000 });
    }
  };
  await all(tuningRuns(ways, part.rates));
  await all(testRuns(ways, bestRates(runs)));
}

const isSame = (run: StudyRun, { purpose, way, learningRate, seed }: PlannedRun): boolean =>
  run.purpose === purpose && run.way === way.name && run.learningRate === learningRate && run.seed === seed;

async function attempt(part: PartPlan, data: PartData, planned: PlannedRun): Promise<StudyRun> {
  const { way, learningRate, seed, purpose } = planned;
  const run = await make(part, data, planned).catch((error: unknown): StudyRun => {
    if ((error as { code?: unknown }).code !== 'loss-diverged') throw error;
    const none = { before: 0, accuracy: 0, loss: Number.POSITIVE_INFINITY, trainable: 0, parameters: 0, steps: 0, samples: 0, seconds: 0 };
    return { part: part.name, purpose, way: way.name, family: way.family, learningRate, seed, ...none };
  });
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  say(
    `${minutes} min ${part.name} ${purpose} ${way.name} lr ${learningRate} seed ${seed}: ${(100 * run.accuracy).toFixed(1)}% (${run.seconds.toFixed(1)} s)`,
  );
  return run;
}

await mkdir(folder, { recursive: true });
for (const part of parts.filter(({ name }) => request.parts.includes(name))) {
  await study(part);
}
process.exit(0);
