/** Tests that a continued run of each kind of decoder, encoder and vision model has the losses of an uninterrupted one, bit for bit. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cacheDir } from '../../support/cache-dir.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-resume-families-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const golden = join(import.meta.dirname, '..', '..', 'golden');
const context = { cacheDir, baseDir: folder, hub: { offline: true } } as const;

const TEXTS = ['lunch at noon', 'WIN $$$ now', 'see you', 'free money!!', 'tea?', 'click to win a prize'];

beforeAll(async () => {
  const samples = TEXTS.map((text, i) => `${JSON.stringify({ text, label: i % 2 === 0 ? 'ham' : 'spam' })}\n`);
  writeFileSync(join(folder, 'train.jsonl'), samples.join(''));
  // The decoders have the first 64 characters of the tokenizer.
  writeFileSync(join(folder, 'sums.jsonl'), TEXTS.map((_, i) => `${JSON.stringify({ text: `${i} + ${7 * i} = ${8 * i}` })}\n`).join(''));
  for (const [label, value] of Object.entries({ day: 220, night: 20 })) {
    mkdirSync(join(folder, 'pictures', label), { recursive: true });
    for (const shade of [0, 9, 18]) {
      const background = { r: value, g: value - shade, b: value };
      writeFileSync(
        join(folder, 'pictures', label, `${shade}.png`),
        await sharp({ create: { width: 8, height: 8, channels: 3, background } })
          .png()
          .toBuffer(),
      );
    }
  }
  for (const name of ['mixtral_window', 'gemma3', 'gemma4', 'phi3', 'albert_groups', 'modernbert', 'convnextv2', 'swin'])
    for (const part of [name, ...(['convnextv2', 'swin'].includes(name) ? [] : ['tiny-tokenizer'])])
      cpSync(join(golden, part), join(folder, name), { recursive: true });
});

const sums = ['data.train=sums.jsonl', 'data.format=text', 'max_length=24'];
const text = ['task=sequence_classification', 'data.train=train.jsonl', 'max_length=24', 'importance.cache=false'];
const images = ['task=image_classification', 'data.train=pictures', 'importance.cache=false'];

// Experts, windows and norms of heads; a fused layer with dropout; shared weights with dropout; local attention; response norms; and
// samples that skip blocks.
test.each([
  ['mixtral_window', 'rows of experts', ['method=spsft', 'r=4', ...sums]],
  ['gemma3', 'everything', ['method=full', ...sums]],
  ['gemma4', 'rows of layers that share keys', ['method=spsft', 'r=4', ...sums]],
  ['phi3', 'lora with dropout on fused layers', ['method=lora', 'r=2', 'lora_dropout=0.2', ...sums]],
  ['albert_groups', 'lora with dropout', ['method=lora', 'r=2', 'lora_dropout=0.2', ...text]],
  ['modernbert', 'rows', ['method=spsft', 'r=4', ...text]],
  [
    'convnextv2',
    'rows of layers, norms and response norms',
    ['method=spsft', 'r=4', 'target_modules=[dwconv, layernorm, pwconv1, grn, pwconv2]', ...images],
  ],
  ['swin', 'everything', ['method=full', ...images]],
])('%s, %s', async (model, _name, settings) => {
  const overrides = [`model=${model}`, 'engine=portable', 'max_steps=3', 'per_device_train_batch_size=2', 'learning_rate=5e-3'];
  const recipe = recipeOf(...overrides, 'save_strategy="no"', ...settings);
  const whole = await runInProcess({ kind: 'train', recipe, runDir: join(folder, 'runs', `${model} whole`), context });
  const runDir = join(folder, 'runs', `${model} parts`);
  const first = await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(1));
  expect(first.value).toMatchObject({ state: 'stopped', steps: 1 });
  const second = await runInProcess({ kind: 'resume', runDir, overrides: [], context });
  expect(second.value).toMatchObject({ state: 'finished', steps: 3 });
  expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
  expect(new Set(whole.losses.values()).size).toBe(3);
});
