/**
 * Recipes whose losses, metrics and weights must be the same in several processes, or on several devices, as in one with the whole batch,
 * regardless of the transport.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect } from 'vitest';
import { parseRanks } from '../../../client/pages/run-files.ts';
import { checkResult } from '../../../trainer/cli/check-result.ts';
import { required } from '../../../trainer/narrow.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../../trainer/protocol/run/run-files.ts';
import { readRecord } from '../files/read-json.ts';
import { distanceOf, expectCloseMetrics, trainedTensors, trainHere, trainIn } from './process-runs.ts';
import { recipeOf } from './recipe-of.ts';
import type { Lengths, TinyTask } from './tiny-task.ts';

/** Settings of all cases: four updates, with all metrics and checkpoints. */
export const FOUR_UPDATES = ['engine=tensorflow', 'dtype=float32', 'threads=1', 'max_steps=4', 'save_total_limit=9', 'logging_steps=1'];
/** Settings of a run that lasts longer than any test, and saves often. */
export const ENDLESS = ['max_steps=100000', 'save_strategy=steps', 'save_steps=2', 'lr_scheduler_type=constant'];
/** Relative tolerance of losses; sums have a different order. */
export const LOSS = 1e-5;
/**
 * Relative distance of all trained weights after four updates. AdamW divides by the size of gradients, which enlarges differences of small
 * ones.
 */
const WEIGHTS = 1e-5;

/** A recipe that is trained by one process, and by several processes or devices. */
export interface ProcessCase {
  readonly title: string;
  readonly processes: number;
  /** Number of rows of the whole batch. */
  readonly batch: number;
  readonly settings: readonly string[];
  /** The exchanged values, if this is the first such case. MPI runs all cases, gRPC every other one of these. */
  readonly exchange?: string;
  /**
   * Set if it also runs on several devices. These cases sum in different ways: after the backward pass or during it, with accumulation, in
   * the forward pass, or in a separate signature.
   */
  readonly onDevices?: true;
  /** A recipe for the files that {@link makeProcessData} writes; by default, that of the tiny task. */
  readonly recipe?: (...overrides: string[]) => Recipe;
  /** Replaces LOSS and WEIGHTS. */
  readonly tolerance?: number;
  /**
   * Maximum bytes exchanged per trained element, including counts and losses of a small model, if gradients are exchanged with fewer bits.
   */
  readonly mostBytes?: number;
}

const textClassifier = (...overrides: string[]): Recipe =>
  recipeOf('model=bert', 'task=sequence_classification', 'data.train=train.jsonl', 'max_length=32', ...overrides);
const imageClassifier = (...overrides: string[]): Recipe =>
  recipeOf('model=resnet', 'task=image_classification', 'data.train=images', ...overrides);

const HELD = ['val_size=4'];
// The held-out loss compares the samples of a batch, so the batch must be the same.
const SAME_BATCH = 'per_device_eval_batch_size=4';
const embedding = (...overrides: string[]): Recipe =>
  recipeOf('model=bert', 'task=embedding', 'data.train=sentences.jsonl', ...HELD, 'max_length=32', SAME_BATCH, ...overrides);
const comparing =
  (objective: string, file: string, ...settings: string[]) =>
  (...overrides: string[]): Recipe =>
    recipeOf('model=llama', `task=${objective}`, `data.train=${file}`, ...HELD, 'max_length=48', ...settings, ...overrides);

/** The case whose batches have several lengths and a short one, wherever it runs. */
export const CASE_OF_LENGTHS = 'SPSFT with importance, clipping and evaluation';

export const processCases: readonly ProcessCase[] = [
  // 24 samples in batches of 5: the last batch is short, and one process has no samples in it.
  {
    title: CASE_OF_LENGTHS,
    onDevices: true,
    processes: 2,
    batch: 10,
    exchange: 'scores, and gradients behind the backward pass',
    settings: ['importance.measure=taylor', 'eval_strategy=epoch'],
  },
  {
    title: 'RoSA, whose mask comes from the gradients of all',
    onDevices: true,
    processes: 2,
    batch: 4,
    // Gradients are squared per batch, which would otherwise be per process.
    settings: ['method=rosa', 'sparse_ratio=0.02', 'importance.batch_size=2'],
  },
  {
    title: 'LoRA with dropout, without clipping',
    onDevices: true,
    processes: 2,
    batch: 4,
    exchange: 'gradients during the backward pass',
    settings: ['method=lora', 'lora_dropout=0.3', 'max_grad_norm=0'],
  },
  {
    title: 'DoRA with packing',
    onDevices: true,
    processes: 2,
    batch: 2,
    settings: ['method=dora', 'packing=true', 'group_by_length=false'],
  },
  {
    title: 'full tuning with accumulation',
    onDevices: true,
    processes: 4,
    batch: 4,
    exchange: 'accumulated gradients',
    settings: ['method=full', 'gradient_accumulation_steps=2', 'weight_decay=0.1'],
  },
  {
    title: 'full tuning with gradients that travel in bfloat16',
    processes: 2,
    batch: 8,
    exchange: 'narrowed gradients',
    settings: ['method=full', 'gradient_exchange_dtype=bfloat16'],
    // Values are rounded twice, each time by at most 2⁻⁹ of their size.
    tolerance: 2e-3,
    mostBytes: 3,
  },
  {
    title: 'full tuning with gradients that travel in int8',
    processes: 4,
    batch: 8,
    // With updates proportional to gradients, rounding errors carry over to the next update; only those of the last are lost.
    settings: ['method=full', 'gradient_exchange_dtype=int8', 'optim=sgd', 'learning_rate=0.05', 'max_grad_norm=0'],
    tolerance: 2e-3,
    mostBytes: 2,
  },
  {
    title: "an encoder's own dropout",
    onDevices: true,
    processes: 2,
    batch: 6,
    settings: ['method=full', 'learning_rate=1e-3'],
    recipe: textClassifier,
  },
  {
    title: 'SPSFT of an encoder with importance and accumulation',
    processes: 2,
    batch: 4,
    settings: ['method=spsft', 'r=8', 'importance.measure=qm_taylor', 'importance.cache=false', 'gradient_accumulation_steps=2'],
    recipe: textClassifier,
  },
  {
    title: 'batch norm over all processes',
    onDevices: true,
    processes: 2,
    batch: 8,
    exchange: 'statistics in the forward pass',
    settings: ['method=full', 'batch_norm=updated', 'optim=sgd', 'learning_rate=1e-3'],
    // Statistics of a few small maps are divided by their square root, which amplifies rounding.
    tolerance: 1e-3,
    recipe: imageClassifier,
  },
  // 21 answers in batches of 8: in the last batch, only the first process has samples.
  {
    title: 'judged answers, with one reference point and a pass of the base model for all processes',
    onDevices: true,
    processes: 2,
    batch: 8,
    exchange: 'a mean of the whole batch, and a pass before training',
    settings: ['method=full', 'eval_strategy=epoch'],
    recipe: comparing('kto', 'judged.jsonl'),
  },
  // 21 pairs in batches of 8, as above; the first process counts all pairs of the update.
  {
    title: 'pairs whose base each process reads while it trains, accumulated',
    onDevices: true,
    processes: 2,
    batch: 8,
    settings: [
      'method=spsft',
      'r=8',
      'importance.measure=taylor',
      'gradient_accumulation_steps=2',
      'preference.reference=live',
      'eval_strategy=epoch',
    ],
    recipe: comparing('dpo', 'pairs.jsonl'),
  },
  {
    title: 'pairs whose better answer is also learned, accumulated',
    processes: 2,
    batch: 4,
    settings: ['method=spsft', 'r=8', 'importance.cache=false', 'gradient_accumulation_steps=2'],
    recipe: comparing('orpo', 'pairs.jsonl'),
  },
  {
    title: 'a reward model',
    processes: 2,
    batch: 8,
    settings: ['method=full', 'learning_rate=1e-3', 'eval_strategy=epoch'],
    recipe: (...overrides) => recipeOf('model=bert', 'task=reward', 'data.train=pairs.jsonl', ...HELD, 'max_length=32', ...overrides),
  },
  // 21 samples in batches of 10: in the last batch, the second process has none and compares nothing.
  {
    title: 'embeddings, whose wrong answers are those of all processes, with hard ones and short vectors too',
    onDevices: true,
    processes: 2,
    batch: 10,
    settings: ['method=full', 'learning_rate=1e-3', 'embedding.negatives=1', 'embedding.matryoshka_dims=[32, 8]', 'eval_strategy=epoch'],
    recipe: embedding,
  },
  {
    title: 'embeddings in both directions, from mini-batches, accumulated',
    processes: 2,
    batch: 8,
    exchange: 'vectors, between mini-batches',
    settings: ['method=lora', 'embedding.loss_type=symmetric', 'embedding.mini_batch_size=2', 'gradient_accumulation_steps=2'],
    recipe: embedding,
  },
  {
    title: 'embeddings of triplets, which compare no samples',
    onDevices: true,
    processes: 2,
    batch: 8,
    settings: ['method=spsft', 'r=8', 'importance.cache=false', 'embedding.loss_type=triplet', 'optim=sgd', 'learning_rate=0.05'],
    recipe: embedding,
  },
  {
    title: 'distillation, whose teacher all processes ask',
    processes: 2,
    batch: 6,
    settings: ['method=lora', 'eval_strategy=epoch'],
    recipe: comparing('distillation', 'judged.jsonl', 'distillation.teacher=teacher', 'distillation.top_k=8'),
  },
];

/** Cases that every transport can run. Only MPI can exchange gradients with fewer bits; otherwise, the recipe is refused. */
export const exchangeCases = processCases.filter(({ exchange, mostBytes }) => exchange !== undefined && mostBytes === undefined);

/** Metrics that must be the same in both runs; those of preferences and distillation are sums and means over the whole batch. */
const COMPARED = [
  ...['loss', 'grad_norm', 'learning_rate', 'eval_loss', 'eval_accuracy', 'eval_token_accuracy'],
  // Not accuracy: at first, both answers have equal rewards up to rounding.
  ...['margin', 'kl', 'nll', 'reward_chosen', 'reward_desirable', 'reward_undesirable', 'logp_rejected', 'logp_desirable'],
  ...['teacher_divergence', 'eval_kl', 'eval_margin', 'eval_teacher_divergence'],
];

/** Writes the models and data of the cases. @param lengths of answers, see `makeTinyTask` */
export async function makeProcessData(folder: string, { lengths = 'several' }: { readonly lengths?: Lengths } = {}): Promise<void> {
  const golden = join(import.meta.dirname, '..', '..', 'golden');
  for (const name of ['bert', 'resnet', 'llama']) cpSync(join(golden, name), join(folder, name), { recursive: true });
  // Different positions give different predictions.
  cpSync(join(golden, 'llama'), join(folder, 'teacher'), { recursive: true });
  const config = readRecord(join(folder, 'teacher', 'config.json'));
  writeFileSync(join(folder, 'teacher', 'config.json'), JSON.stringify({ ...config, rope_theta: 10, rope_parameters: undefined }));
  for (const name of ['bert', 'llama', 'teacher']) cpSync(join(golden, 'tiny-tokenizer'), join(folder, name), { recursive: true });
  const most = lengths === 'several' ? 7 : 3;
  const answers = Array.from({ length: 25 }, (_, i) => ({ prompt: `q${i}? `, good: `yes ${'!'.repeat(i % most)}`, bad: `n${i} o` }));
  const judged = answers.map(({ prompt, good, bad }, i) => ({ prompt, completion: i % 3 ? good : bad, label: i % 3 > 0 }));
  const pairs = answers.map(({ prompt, good, bad }) => ({ prompt, chosen: good, rejected: bad }));
  const sentences = answers.map(({ prompt }, i) => ({
    anchor: prompt,
    positive: `${(7 * i) % 25} yes`,
    negative: `no ${i} ${(3 * i) % 25}`,
  }));
  for (const [name, samples] of Object.entries({ judged, pairs, sentences }))
    writeFileSync(join(folder, `${name}.jsonl`), `${samples.map(sample => JSON.stringify(sample)).join('\n')}\n`);
  const lines = Array.from({ length: 20 }, (_, i) =>
    JSON.stringify({ text: i % 2 ? `w${i} good` : `bad ${i}`, label: i % 2 ? 'yes' : 'no' }),
  );
  writeFileSync(join(folder, 'train.jsonl'), `${lines.join('\n')}\n`);
  for (let i = 0; i < 13; i++) {
    const place = join(folder, 'images', i % 2 ? 'light' : 'dark');
    mkdirSync(place, { recursive: true });
    // Each image has a different pattern; batch norm over uniform images would divide by almost zero.
    const pixels = Uint8Array.from(
      { length: 32 * 32 * 3 },
      (_, at) => (Math.imul(at + 1, 2654435761 + 97 * i) >>> 24) % (i % 2 ? 256 : 180),
    );
    await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } })
      .png()
      .toFile(join(place, `${i}.png`));
  }
}

/** A way to divide each batch of a run. */
export interface Division {
  /** The kind of workers that compute the parts of a batch. */
  readonly parts: 'processes' | 'devices';
  /** Settings of only this run. */
  readonly transport?: readonly string[];
}

export interface CaseContext {
  /** The folder of {@link makeProcessData}, in which runs are created. */
  readonly folder: string;
  readonly task: TinyTask;
  /** Settings of all runs. */
  readonly settings?: readonly string[];
  /** A run of each is compared with that of one process; by default, one of processes over MPI. */
  readonly divisions?: readonly Division[];
}

/** Trains a case in one process, and in several processes or on several devices, and compares their reports and weights. */
export async function expectResultOfOne(
  { title, processes, batch, settings, recipe, tolerance, mostBytes }: ProcessCase,
  { folder, task, settings: further = [], divisions = [{ parts: 'processes' }] }: CaseContext,
): Promise<void> {
  // As if the user had typed the command, because some transports open ports.
  const context = { ...task.context, baseDir: recipe ? folder : task.folder, opensPorts: true };
  const make = (...own: readonly string[]) => (recipe ?? task.recipe)(...FOUR_UPDATES, ...settings, ...further, ...own);
  const oneDir = join(folder, 'runs', title, 'one');
  const one = await trainHere(oneDir, make(`per_device_train_batch_size=${batch}`), context);
  const expected = await trainedTensors(oneDir, 4);
  for (const { parts, transport = [] } of divisions) {
    const by = [parts, ...transport].join(' ');
    const severalDir = join(folder, 'runs', title, by);
    const divided = make(`per_device_train_batch_size=${batch / processes}`, `${parts}=${processes}`, ...transport);
    const several = await trainIn(severalDir, divided, context);
    expect(several.last, `${by}: ${JSON.stringify(several.last).slice(0, 1000)}`).toMatchObject({ type: 'result' });
    expectCloseMetrics(one, several, { names: COMPARED, bound: tolerance ?? LOSS });
    const found = await trainedTensors(severalDir, 4);
    expect([...found.keys()]).toEqual([...expected.keys()]);
    const distance = distanceOf(expected, found);
    console.log(`${title}, ${by}: weights ${distance.toExponential(1)} apart`);
    expect(distance).toBeLessThan(tolerance ?? WEIGHTS);
    // Exchanges between devices stay within their program.
    if (parts === 'processes') expectExchanged(severalDir, mostBytes);
  }
}

/** Expects each rank to have exchanged at most this many bytes per trained element, or whole float32 gradients. */
function expectExchanged(runDir: string, mostBytes: number | undefined): void {
  const { trainable } = checkResult('train', readRecord(join(runDir, RUN_FILES.summary)));
  const { ranks } = required(parseRanks(readFileSync(join(runDir, RUN_FILES.byRank), 'utf8')), 'ranks.json');
  // Counts and losses are exchanged, too.
  console.log(`${ranks.map(({ bytesPerUpdate }) => (bytesPerUpdate / trainable).toFixed(2)).join(', ')} bytes per number`);
  for (const { bytesPerUpdate } of ranks)
    if (mostBytes !== undefined) expect(bytesPerUpdate / trainable).toBeLessThan(mostBytes);
    else expect(bytesPerUpdate / trainable).toBeGreaterThanOrEqual(4);
}
