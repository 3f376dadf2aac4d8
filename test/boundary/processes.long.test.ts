/**
 * Runs of several processes over MPI, started by the mpiexec of PyPI's wheel: losses, metrics and weights are those of one process on the whole
 * batch.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { findMpi } from '../../trainer/engine/mpi/find-mpi.ts';
import { isRecord } from '../../trainer/narrow.ts';
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe-schema.ts';
import { RUN_FILES } from '../../trainer/protocol/run-files.ts';
import type { RanksView } from '../../trainer/protocol/view/run.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cacheDir, ROWTUNE } from '../support/daemon.ts';
import { distanceOf, expectCloseMetrics, lossesOf, runJobOfRun, signaledRun, trainedTensors, trainIn } from '../support/process-runs.ts';
import { makeTinyTask } from '../support/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-processes-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

const COMMON = ['engine=tensorflow', 'dtype=float32', 'threads=1', 'max_steps=4', 'save_total_limit=9', 'logging_steps=1'];
/** Relative; sums are in another order. */
const LOSS = 1e-5;
/** Relative distance of all trained numbers after four updates: AdamW divides by the size of gradients, and so enlarges the difference of small ones. */
const WEIGHTS = 1e-5;

const NARROW = 'gradient_exchange_dtype=bfloat16';
const NARROWEST = 'gradient_exchange_dtype=int8';
/** Bytes of a trained number on its way, with the counts and losses of a small model. */
const MOST_BYTES: Readonly<Record<string, number>> = { [NARROW]: 3, [NARROWEST]: 2 };

interface Case {
  readonly title: string;
  readonly processes: number;
  /** Rows of the whole batch. */
  readonly batch: number;
  readonly settings: readonly string[];
  readonly recipe?: (...overrides: string[]) => Recipe;
  readonly baseDir?: string;
  /** In place of LOSS and WEIGHTS. */
  readonly tolerance?: number;
}

const textClassifier = (...overrides: string[]): Recipe =>
  parsed('model=bert', 'task=sequence_classification', 'data.train=train.jsonl', 'max_length=32', ...overrides);
const imageClassifier = (...overrides: string[]): Recipe =>
  parsed('model=resnet', 'task=image_classification', 'data.train=images', ...overrides);

const HELD = ['val_size=4'];
const comparing =
  (objective: string, file: string, ...settings: string[]) =>
  (...overrides: string[]): Recipe =>
    parsed('model=llama', `task=${objective}`, `data.train=${file}`, ...HELD, 'max_length=48', ...settings, ...overrides);

function parsed(...overrides: string[]): Recipe {
  const { recipe, problems } = parseRecipe('', { overrides });
  if (!recipe) throw new Error(problems.map(({ message }) => message).join('; '));
  return recipe;
}

const CASES: readonly Case[] = [
  // 24 samples in batches of 5: the last one is short, and one of the processes has nothing there.
  {
    title: 'SPSFT with importance, clipping and evaluation',
    processes: 2,
    batch: 10,
    settings: ['importance.measure=taylor', 'eval_strategy=epoch'],
  },
  {
    title: 'LoRA with dropout, without clipping',
    processes: 2,
    batch: 4,
    settings: ['method=lora', 'lora_dropout=0.3', 'max_grad_norm=0'],
  },
  { title: 'DoRA with packing', processes: 2, batch: 2, settings: ['method=dora', 'packing=true', 'group_by_length=false'] },
  {
    title: 'full tuning with accumulation',
    processes: 4,
    batch: 4,
    settings: ['method=full', 'gradient_accumulation_steps=2', 'weight_decay=0.1'],
  },
  {
    title: 'full tuning with gradients that travel in bfloat16',
    processes: 4,
    batch: 8,
    settings: ['method=full', NARROW],
    // Numbers are rounded twice by at most 2⁻⁹ of each.
    tolerance: 2e-3,
  },
  {
    title: 'full tuning with gradients that travel in int8',
    processes: 4,
    batch: 8,
    // Updates in proportion to gradients: what is lost of one is in the next, and what is lost of the last is missing.
    settings: ['method=full', NARROWEST, 'optim=sgd', 'learning_rate=0.05', 'max_grad_norm=0'],
    tolerance: 2e-3,
  },
  {
    title: "an encoder's own dropout",
    processes: 2,
    batch: 6,
    settings: ['method=full', 'learning_rate=1e-3'],
    recipe: textClassifier,
    baseDir: folder,
  },
  {
    title: 'batch norm over all processes',
    processes: 2,
    batch: 8,
    settings: ['method=full', 'batch_norm=updated', 'optim=sgd', 'learning_rate=1e-3'],
    // Statistics of a few small maps are divided by their square root: rounding grows.
    tolerance: 1e-3,
    recipe: imageClassifier,
    baseDir: folder,
  },
  // 21 answers in batches of 8: the last one has samples for the first process only.
  {
    title: 'judged answers, with one reference point and a pass of the base model for all processes',
    processes: 2,
    batch: 8,
    settings: ['method=full', 'eval_strategy=epoch'],
    recipe: comparing('kto', 'judged.jsonl'),
    baseDir: folder,
  },
  {
    title: 'pairs whose better answer is also learned, accumulated',
    processes: 2,
    batch: 4,
    settings: ['method=spsft', 'r=8', 'importance.cache=false', 'gradient_accumulation_steps=2'],
    recipe: comparing('orpo', 'pairs.jsonl'),
    baseDir: folder,
  },
  {
    title: 'a reward model',
    processes: 2,
    batch: 8,
    settings: ['method=full', 'learning_rate=1e-3', 'eval_strategy=epoch'],
    recipe: (...overrides) => parsed('model=bert', 'task=reward', 'data.train=pairs.jsonl', ...HELD, 'max_length=32', ...overrides),
    baseDir: folder,
  },
  {
    title: 'distillation, whose teacher all processes ask',
    processes: 2,
    batch: 6,
    settings: ['method=lora', 'eval_strategy=epoch'],
    recipe: comparing('distillation', 'judged.jsonl', 'distillation.teacher=teacher', 'distillation.top_k=8'),
    baseDir: folder,
  },
];

/** The metrics of both runs have to be the same; those of preferences and of distillation are sums and means over the whole batch. */
const COMPARED = [
  ...['loss', 'grad_norm', 'learning_rate', 'eval_loss', 'eval_accuracy', 'eval_token_accuracy'],
  // Without accuracy: at first, both answers are worth the same up to rounding.
  ...['margin', 'kl', 'nll', 'reward_chosen', 'reward_desirable', 'reward_undesirable', 'logp_rejected', 'logp_desirable'],
  ...['teacher_divergence', 'eval_kl', 'eval_margin', 'eval_teacher_divergence'],
];

describe.skipIf(!engine)(`several processes ${reason}`, () => {
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    const golden = join(import.meta.dirname, '..', 'golden');
    for (const name of ['bert', 'resnet', 'llama']) cpSync(join(golden, name), join(folder, name), { recursive: true });
    // Other positions, so other predictions.
    cpSync(join(golden, 'llama'), join(folder, 'teacher'), { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, 'teacher', 'config.json'), 'utf8'));
    writeFileSync(join(folder, 'teacher', 'config.json'), JSON.stringify({ ...config, rope_theta: 10, rope_parameters: undefined }));
    for (const name of ['bert', 'llama', 'teacher']) cpSync(join(golden, 'tiny-tokenizer'), join(folder, name), { recursive: true });
    const answers = Array.from({ length: 25 }, (_, i) => ({ prompt: `q${i}? `, good: `yes ${'!'.repeat(i % 7)}`, bad: `n${i} o` }));
    const judged = answers.map(({ prompt, good, bad }, i) => ({ prompt, completion: i % 3 ? good : bad, label: i % 3 > 0 }));
    const pairs = answers.map(({ prompt, good, bad }) => ({ prompt, chosen: good, rejected: bad }));
    for (const [name, samples] of Object.entries({ judged, pairs }))
      writeFileSync(join(folder, `${name}.jsonl`), `${samples.map(sample => JSON.stringify(sample)).join('\n')}\n`);
    const lines = Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({ text: i % 2 ? `w${i} good` : `bad ${i}`, label: i % 2 ? 'yes' : 'no' }),
    );
    writeFileSync(join(folder, 'train.jsonl'), `${lines.join('\n')}\n`);
    for (let i = 0; i < 13; i++) {
      const place = join(folder, 'images', i % 2 ? 'light' : 'dark');
      mkdirSync(place, { recursive: true });
      // A pattern of its own for each image: batch norm over flat ones would divide by almost nothing.
      const pixels = Uint8Array.from(
        { length: 32 * 32 * 3 },
        (_, at) => (Math.imul(at + 1, 2654435761 + 97 * i) >>> 24) % (i % 2 ? 256 : 180),
      );
      await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } })
        .png()
        .toFile(join(place, `${i}.png`));
    }
  });

  test.each(CASES)(
    '$title: $processes processes give the result of one',
    async ({ title, processes, batch, settings, recipe = task.recipe, baseDir, tolerance }) => {
      const context = { ...task.context, baseDir: baseDir ?? task.folder };
      const dirs = ['one', 'several'].map(name => join(folder, 'runs', title, name)) as [string, string];
      const one = await trainIn(dirs[0], recipe(...COMMON, ...settings, `per_device_train_batch_size=${batch}`), context);
      const several = await trainIn(
        dirs[1],
        recipe(...COMMON, ...settings, `per_device_train_batch_size=${batch / processes}`, `processes=${processes}`),
        context,
      );
      expect([one.last, several.last], JSON.stringify([one.last, several.last]).slice(0, 2000)).toMatchObject([
        { type: 'result' },
        { type: 'result' },
      ]);
      expectCloseMetrics(one, several, { names: COMPARED, bound: tolerance ?? LOSS });
      const [expected, found] = [await trainedTensors(dirs[0], 4), await trainedTensors(dirs[1], 4)];
      expect([...found.keys()]).toEqual([...expected.keys()]);
      const distance = distanceOf(expected, found);
      console.log(`${title}: weights ${distance.toExponential(1)} apart`);
      expect(distance).toBeLessThan(tolerance ?? WEIGHTS);
      const { trainable } = JSON.parse(readFileSync(join(dirs[1], RUN_FILES.summary), 'utf8'));
      const { ranks }: RanksView = JSON.parse(readFileSync(join(dirs[1], RUN_FILES.byRank), 'utf8'));
      // Counts and losses travel too.
      const mostBytes = settings.map(setting => MOST_BYTES[setting]).find(most => most !== undefined);
      console.log(`${title}: ${ranks.map(({ bytesPerUpdate }) => (bytesPerUpdate / trainable).toFixed(2)).join(', ')} bytes per number`);
      for (const { bytesPerUpdate } of ranks)
        if (mostBytes !== undefined) expect(bytesPerUpdate / trainable).toBeLessThan(mostBytes);
        else expect(bytesPerUpdate / trainable).toBeGreaterThanOrEqual(4);
    },
  );

  test('two processes answer held-out prompts as one does', async () => {
    const settings = [
      ...['method=lora', 'learning_rate=0.03', 'eval_strategy=epoch', 'eval_generation.max_new_tokens=4'],
      ...['eval_generation.checks=[exact_match, rouge_l, pattern]', 'eval_generation.pattern=^.[a-m]', 'eval_generation.max_samples=7'],
    ];
    const run = async (processes: number) => {
      const own = [`processes=${processes}`, `per_device_train_batch_size=${4 / processes}`];
      const { last } = await trainIn(join(folder, `answers ${processes}`), task.recipe(...COMMON, ...settings, ...own), task.context);
      return last?.type === 'result' && isRecord(last.value) ? last.value : {};
    };
    const [one, several] = [await run(1), await run(2)];
    for (const at of ['before', 'after']) {
      const [expected, found] = [one[at], several[at]];
      if (!isRecord(expected) || !isRecord(found)) throw new Error(`no evaluation ${at} training`);
      expect(expected.answers).not.toHaveLength(0);
      expect(found.answers).toEqual(expected.answers);
      for (const name of ['exact_match', 'rouge_l', 'pattern'])
        expect(found.measures).toHaveProperty(name, isRecord(expected.measures) ? expected.measures[name] : undefined);
    }
  });

  test('a run is resumed by another number of processes as if nothing had happened', async () => {
    const settings = [...COMMON, 'method=lora', 'lora_dropout=0.2', 'lr_scheduler_type=constant', 'per_device_train_batch_size=2'];
    const whole = await trainIn(join(folder, 'whole'), task.recipe(...settings, 'processes=2'), task.context);
    const runDir = join(folder, 'resumed');
    await trainIn(runDir, task.recipe(...settings, 'max_steps=2', 'processes=2'), task.context);
    const { last, metrics } = await runJobOfRun({
      kind: 'resume',
      runDir,
      overrides: ['max_steps=4', 'processes=1'],
      context: task.context,
    });
    expect(last).toMatchObject({ type: 'result', value: { steps: 4 } });
    const [expected, found] = [lossesOf(whole.metrics), lossesOf(metrics)];
    expect(found).toHaveLength(4);
    for (const [i, loss] of expected.entries()) expect(Math.abs((found[i] ?? 0) - loss)).toBeLessThan(LOSS * (1 + loss));
  });

  test('what int8 loses of gradients is in the checkpoint, so a resumed run continues to the bit', async () => {
    const settings = [...COMMON, NARROWEST, 'lr_scheduler_type=constant', 'per_device_train_batch_size=2', 'processes=2'];
    const [wholeDir, runDir] = [join(folder, 'int8 whole'), join(folder, 'int8 resumed')];
    const whole = await trainIn(wholeDir, task.recipe(...settings), task.context);
    await trainIn(runDir, task.recipe(...settings, 'max_steps=2'), task.context);
    const { metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides: ['max_steps=4'], context: task.context });
    expect(lossesOf(whole.metrics)).toHaveLength(4);
    expect(lossesOf(metrics)).toEqual(lossesOf(whole.metrics));
    expect(await trainedTensors(runDir, 4)).toEqual(await trainedTensors(wholeDir, 4));
    // Another number of processes shares what was lost.
    const { last } = await runJobOfRun({
      kind: 'resume',
      runDir,
      overrides: ['max_steps=5', 'processes=4'],
      context: task.context,
    });
    expect(last).toMatchObject({ type: 'result', value: { steps: 5 } });
    expect(readFileSync(join(runDir, 'log.txt'), 'utf8')).toContain('continues with the sum of what they had lost');
  });

  test('a rank with another recipe is refused before anything is trained', async () => {
    const recipe = join(task.folder, 'task.rowtune.yaml');
    writeFileSync(recipe, task.text);
    const runDir = join(folder, 'differs');
    const rank = (...settings: string[]): string[] => [
      ...['-n', '1', process.execPath, ROWTUNE, 'train', recipe, '--json', `output_dir=${runDir}`, ...COMMON, ...settings],
    ];
    const { status, output } = await runCommand(findMpi(cacheDir, process.env).launcher, [...rank('r=8'), ':', ...rank('r=4')], {
      env: { ROWTUNE_CACHE: cacheDir },
    });
    expect(status).not.toBe(0);
    expect(output).toContain('rank 1 has another recipe than rank 0: recipe: \\"r: 4\\" instead of \\"r: 8\\"');
    expect(await readMetrics(runDir)).toEqual([]);
  });

  test.each([
    // On a busy machine a healthy rank may be silent for seconds, so only the stopped one is waited for.
    { signal: 'SIGKILL', victim: 1, silentSeconds: 120, reason: /^rank 1 \(process \d+\) was killed \(SIGKILL\)/ },
    { signal: 'SIGSTOP', victim: 0, silentSeconds: 10, reason: /^rank 0 has shown no sign of life for 10 s/ },
  ] as const)(
    '$signal to rank $victim ends all ranks for one reason, and the run continues',
    async ({ signal, victim, silentSeconds, reason: expected }) => {
      const runDir = join(folder, signal);
      const settings = [
        'max_steps=100000',
        'save_strategy=steps',
        'save_steps=2',
        'lr_scheduler_type=constant',
        'per_device_train_batch_size=2',
      ];
      const recipe = task.recipe(...COMMON, ...settings, 'processes=2');
      const { last, pids } = await signaledRun({ recipe, runDir, context: { ...task.context, silentSeconds }, signal, victim });
      const hint = expect.stringContaining('rowtune resume');
      expect(last).toMatchObject({ type: 'failed', code: 'rank-lost', message: expect.stringMatching(expected), hint });
      expect(pids).toHaveLength(2);
      for (const pid of pids) await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
      expect(await readRunState(runDir)).toMatchObject({ state: 'failed', reason: expect.stringMatching(expected) });
      const saved = Number(/\d+$/.exec((await readdir(join(runDir, 'checkpoints'))).sort().at(-1) ?? '')?.[0]);
      const overrides = [`max_steps=${saved + 2}`];
      const resumed = await runJobOfRun({ kind: 'resume', runDir, overrides, context: task.context });
      expect(resumed.last).toMatchObject({ type: 'result', value: { steps: saved + 2 } });
      expect(lossesOf(resumed.metrics)).toHaveLength(saved + 2);
    },
  );
});
