/**
 * Compares a recipe trained by Transformers' Trainer (or TRL's SFTTrainer) and here: number of updates, learning rates, losses and gradient
 * norms, and the weights after the last update. Tolerances in float32: losses 1e-5 relative, gradient norms and weights 1e-4.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readAdapter } from '../../trainer/adapter/read-adapter.ts';
import { type EngineName, engineCatalog } from '../../trainer/catalog/engines.ts';
import { withoutNormDecay } from '../../trainer/method/method.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { required, valueFor } from '../../trainer/narrow.ts';
import { learningRateAt, type ScheduleSettings, warmupStepsOf } from '../../trainer/train/schedule.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { casesOn, listEngines } from '../support/engines.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { readGoldenJson, readRecord } from '../support/files/read-json.ts';
import { recipeIn } from '../support/runs/recipe-of.ts';
import { runInProcess } from '../support/runs/run-in-process.ts';

const numbersForm = z.array(z.number());
const summaryForm = z.object({
  shape: numbersForm,
  l2: z.number(),
  first4: numbersForm,
  /** Σ w_i · cos(i), which depends on the position of each value. */
  probe: z.number(),
});
type Summary = z.infer<typeof summaryForm>;

const runForm = z.object({
  kind: z.enum(['causal', 'classifier']),
  method: z.enum(['full', 'lora', 'dora', 'spsft']),
  data: z.enum(['text', 'pair', 'label']),
  /** Changes to the model's config.json. */
  config: z.record(z.string(), z.unknown()),
  recipe: z.record(z.string(), z.unknown()),
  steps: z.number(),
  /** TRL packs the longest samples first; in this order, samples fill the same rows here. */
  order: numbersForm.nullable(),
  losses: numbersForm,
  learning_rates: numbersForm,
  grad_norms: numbersForm,
  weights: z.record(z.string(), summaryForm),
});
type Run = z.infer<typeof runForm>;

const argumentNames = ['num_cycles', 'power', 'lr_end', 'timescale', 'num_decay_steps', 'num_stable_steps', 'min_lr_ratio'] as const;
const scheduleForm = z.object({
  type: z.enum(['linear', 'cosine', 'cosine_with_restarts', 'polynomial', 'inverse_sqrt', 'warmup_stable_decay', 'constant', 'constant_with_warmup']),
  warmup: z.number(),
  total: z.number(),
  arguments: z.partialRecord(z.enum(argumentNames), z.number()),
  rates: numbersForm,
});
const golden = import.meta.dirname;
const traces = readGoldenJson(
  'trainer_traces.json',
  z.object({
    texts: z.array(z.string()),
    pairs: z.array(z.tuple([z.string(), z.string()])),
    labeled: z.array(z.tuple([z.string(), z.number()])),
    /** By model folder: parameters without weight decay. */
    undecayed: z.record(z.string(), z.array(z.string())),
    schedules: z.record(z.string(), scheduleForm),
    /** Warm-up setting, total steps, and the resulting number of warm-up steps. */
    warmups: z.array(z.tuple([z.number(), z.number(), z.number()])),
    runs: z.record(z.string(), runForm),
  }),
);

describe('the learning rate of each update', () => {
  test.each(Object.entries(traces.schedules))('%s', (_, { type, warmup, total, arguments: args, rates }) => {
    const settings: ScheduleSettings = { type, learningRate: 2e-4, minLearningRate: 0, warmupSteps: warmup, totalSteps: total, arguments: args };
    rates.forEach((rate, step) => expect(Math.abs(learningRateAt(settings, step) - rate)).toBeLessThanOrEqual(1e-9 * 2e-4));
  });

  test.each(traces.warmups)('warmup_steps %d of %d updates', (given, totalSteps, steps) =>
    expect(warmupStepsOf({ steps: given, totalSteps })).toBe(steps));
});

describe('weight decay leaves the same parameters alone', () => {
  test.each(Object.entries(traces.undecayed))('%s', (name, expected) => {
    const [folder = '', method = 'full'] = name.split(' by ');
    const model = loadModel(readRecord(join(golden, folder, 'config.json')));
    const attachment = methods[runForm.shape.method.parse(method)].attach(model, settingsOf({ loraAlpha: 16, seed: 0 }), new Map());
    const { trainables } = withoutNormDecay(attachment, model);
    const trained = new Set(trainables.map(trainable => trainable.name));
    const left = trainables.flatMap(trainable => (trainable.undecayed ? [trainable.name] : []));
    // A head that our task does not use (a pooler's, a teacher's) is not trained.
    expect(left.sort()).toEqual(expected.filter(one => trained.has(one)));
    expect(expected.filter(one => !trained.has(one)).every(one => /pooler|mask_token/.test(one))).toBe(true);
  });
});

const engines = (await listEngines()).filter(({ missing }) => missing === undefined);

describe('runs', () => {
  const work = mkdtempSync(join(tmpdir(), 'rowtune-trainer-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  /**
   * All runs are tested on the built-in engine, those with special kinds of updates also on the others, and two where compiling takes
   * seconds.
   */
  const onOthers = new Set(['full', 'tight_clipping', 'accumulation', 'label_smoothing', 'lora', 'dora', 'spsft', 'classifier', 'sft_packed_completion']);
  const few = new Set(['spsft', 'classifier']);
  const all = Object.entries(traces.runs);
  const cases = engines.flatMap(({ name: engine }) => {
    const own = all.filter(([name]) => engineCatalog[engine].isBuiltIn || onOthers.has(name));
    return casesOn(engine, own, ([name]) => few.has(name)).map(([name, run]) => ({ name, run, engine }));
  });

  test.each(cases)(
    '$name on $engine',
    async ({ name, run, engine }) => {
      const { value } = await runInProcess(requestOf(join(work, `${name} ${engine}`), run, engine));
      expect(value.totalSteps).toBe(run.steps);
      const lines = (await readMetrics(value.runDir)).filter(({ loss }) => loss !== undefined);
      expect(lines.length).toBe(run.losses.length);
      lines.forEach((line, i) => {
        expect(relative(Number(line.loss), run.losses[i] as number), `loss of update ${i + 1}`).toBeLessThan(1e-5);
        expect(relative(Number(line.learning_rate), run.learning_rates[i] as number), `rate of update ${i + 1}`).toBeLessThan(1e-8);
        expect(relative(Number(line.grad_norm), run.grad_norms[i] as number), `gradient of update ${i + 1}`).toBeLessThan(1e-4);
      });
      await expectWeights(required(value.checkpoint ?? undefined, 'a checkpoint'), run);
    },
    60_000,
  );

  const relative = (found: number, wanted: number): number => Math.abs(found - wanted) / Math.max(Math.abs(wanted), 1e-12);

  function requestOf(folder: string, { kind, method, data, config, recipe, order }: Run, engine: EngineName) {
    const model = join(folder, 'model');
    mkdirSync(model, { recursive: true });
    for (const part of [kind === 'classifier' ? 'bert' : 'llama', 'tiny-tokenizer']) cpSync(join(golden, part), model, { recursive: true });
    const file = join(model, 'config.json');
    writeFileSync(file, JSON.stringify({ ...readRecord(file), ...config }));
    const samples =
      data === 'text'
        ? traces.texts.map(text => ({ text }))
        : data === 'pair'
          ? traces.pairs.map(([prompt, completion]) => ({ prompt, completion }))
          : traces.labeled.map(([text, label]) => ({ text, label: `LABEL_${label}` }));
    const rows = order ? order.map(index => samples[index]) : samples;
    writeFileSync(join(folder, 'train.jsonl'), rows.map(row => `${JSON.stringify(row)}\n`).join(''));
    const ranked = method === 'lora' || method === 'dora' ? { r: 4, lora_alpha: 16 } : method === 'spsft' ? { r: 4 } : {};
    const written = {
      model: 'model',
      task: kind === 'classifier' ? 'sequence_classification' : 'causal_lm',
      method,
      engine,
      data: { train: 'train.jsonl', shuffle: false, ...('completion_only' in recipe ? { completion_only: recipe.completion_only } : {}) },
      max_length: kind === 'classifier' ? 32 : 48,
      // The script's rows.
      importance: { measure: 'magnitude', cache: false },
      ...ranked,
      ...Object.fromEntries(Object.entries(recipe).filter(([key]) => key !== 'completion_only')),
    };
    const context = { cacheDir, baseDir: folder, hub: { offline: true } };
    return { kind: 'train', recipe: recipeIn(JSON.stringify(written), { fileName: 'recipe.json' }), runDir: join(folder, 'run'), context } as const;
  }

  async function expectWeights(checkpoint: string, { method, weights }: Run): Promise<void> {
    const adapter = await readAdapter(checkpoint);
    const trained = new Set(adapter.tensors.keys());
    // Softmax is invariant to a bias of keys: its gradient is only rounding, from which Adam makes full-size updates.
    const compared = Object.entries(weights).filter(([name]) => !name.endsWith('.key.bias'));
    expect([...trained].sort()).toEqual(Object.keys(weights).sort());
    for (const [name, wanted] of compared) {
      let values = await adapter.readFloat32(name);
      if (method === 'spsft') values = await withRows(name, wanted, values, valueFor(adapter.description.rows, name.replace(/\.weight$/, '')));
      expect(values.length, name).toBe(wanted.shape.reduce((n, d) => n * d, 1));
      const l2 = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
      const probe = values.reduce((sum, x, i) => sum + x * Math.cos(i), 0);
      const scale = Math.max(wanted.l2, 1e-6);
      expect(Math.abs(l2 - wanted.l2) / scale, `${name}: length`).toBeLessThan(1e-4);
      expect(Math.abs(probe - wanted.probe) / scale, `${name}: probe`).toBeLessThan(1e-4);
      wanted.first4.forEach((x, i) => expect(Math.abs((values[i] as number) - x), `${name}[${i}]`).toBeLessThan(1e-4 * Math.max(1, Math.abs(x))));
    }
    await adapter.close();
  }

  /** Puts the trained rows at their positions in the base's weight. */
  async function withRows(name: string, { shape }: Summary, rows: Float32Array, indices: Int32Array): Promise<Float32Array> {
    const folder = await openModel(join(golden, 'llama'));
    const all = await folder.weights.readFloat32(name);
    await folder.weights.close();
    const width = shape[1] as number;
    indices.forEach((row, i) => all.set(rows.subarray(i * width, (i + 1) * width), row * width));
    return all;
  }
});
