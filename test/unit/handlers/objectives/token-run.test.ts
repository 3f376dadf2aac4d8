/**
 * Tests runs that label words: an encoder with a head for whole texts gets one for tokens, learns, resumes bit for bit, and is exported
 * under its new class.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrainResult } from '../../../../trainer/handlers/train/train-run.ts';
import { openModel, readModelHeaders } from '../../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../../trainer/model/load-model.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { estimateRecipe } from '../../../../trainer/plan/memory/predict.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf } from '../../../support/runs/evaluated.ts';
import { runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';

/** Words that start with x name things, and those with y places, of one or two words; others are outside. */
const WORDS = [
  ['xa', 'B-THING'],
  ['xb', 'B-THING'],
  ['ya', 'B-PLACE'],
  ['yb zb', 'B-PLACE I-PLACE'],
  ['ca', 'O'],
  ['da', 'O'],
  ['fa', 'O'],
] as const;
const sentence = (n: number): string =>
  [n, n * 3 + 1, n * 5 + 2]
    .map(at => elementAt(WORDS, at % WORDS.length))
    .flatMap(([words, tags]) => words.split(' ').map((word, i) => `${word} ${tags.split(' ')[i]}\n`))
    .join('');
const sentences = (from: number, to: number): string => Array.from({ length: to - from }, (_, i) => `${sentence(from + i)}\n`).join('');

const { folder, context, recipe, train } = makeEncoderTask(
  ['task=token_classification', 'data.train=train.conll', 'data.eval=held.conll', 'importance.measure=magnitude'],
  {
    'train.conll': sentences(0, 21),
    'held.conll': sentences(21, 30),
  },
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a run', () => {
  let result: TrainResult;
  beforeAll(async () => {
    ({ value: result } = await train('run', ['num_train_epochs=12', 'learning_rate=0.02', 'save_strategy=epoch']));
  });

  test('learns entities, and counts types in the confusion matrix', () => {
    const { before, after } = result;
    expect(after?.loss).toBeLessThan(lossOf(before) / 4);
    expect(after?.measures).toMatchObject({ f1: expect.any(Number), precision: expect.any(Number), recall: expect.any(Number) });
    expect(after?.measures?.f1).toBeGreaterThan(0.9);
    expect(Object.keys(after?.labels?.confusion ?? {}).sort()).toEqual(['O', 'PLACE', 'THING']);
    expect(after?.targets).toBeGreaterThan(required(after?.samples, 'samples'));
  });

  test('is evaluated from its adapter as during training', async () => {
    const { value } = await runInProcess({ kind: 'evaluate', recipe: recipe(), adapter: join(folder, 'run'), context });
    expect(value.loss).toBeCloseTo(lossOf(result.after), 5);
    expect(value.measures).toEqual(result.after?.measures);
  });

  test('labels the words of a text, by its adapter', async () => {
    const prompt = 'xa xb ya';
    const options = { engine: 'portable', chat: true, maxNewTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const request = { kind: 'generate', model: 'model', revision: 'main', adapter: join(folder, 'run'), prompt, options, context } as const;
    const { value } = await runInProcess(request);
    expect(value.entities?.map(({ type, start, end }) => [type, prompt.slice(start, end)])).toEqual([
      ['THING', 'xa'],
      ['THING', 'xb'],
      ['PLACE', 'ya'],
    ]);
    expect(value.text).toBe('[xa](THING) [xb](THING) [ya](PLACE)');
    // Longer than the model's 32 positions, so it is read in parts, each with special tokens around it.
    const long = Array.from({ length: 10 }, () => prompt).join('\n');
    const { value: parts } = await runInProcess({ ...request, prompt: long });
    expect(parts.promptTokens).toBeGreaterThan(60);
    for (const { start, end } of parts.entities ?? []) expect(long.slice(start, end)).toMatch(/^[xy][ab](\s[xy][ab])*$/);
  });

  test.each(['merged', 'peft'] as const)('is exported (%s) under the class that labels tokens', async format => {
    const outputDir = join(folder, format);
    const request = { kind: 'export', adapter: join(folder, 'run'), format, outputDir, overwrite: false, context } as const;
    await runInProcess(request);
    if (format === 'peft') {
      // The adapter trains rows of the encoder and the whole head.
      expect(readRecord(join(outputDir, 'adapter_config.json'))).toMatchObject({ task_type: 'TOKEN_CLS' });
      return;
    }
    const opened = await openModel(outputDir);
    const model = loadModel(opened.config);
    await opened.weights.close();
    expect(opened.config.architectures).toEqual(['BertForTokenClassification']);
    expect(opened.config.id2label).toEqual({ 0: 'O', 1: 'B-PLACE', 2: 'I-PLACE', 3: 'B-THING' });
    expect(model).toMatchObject({ problem: 'token_label', labels: ['O', 'B-PLACE', 'I-PLACE', 'B-THING'] });
    expect(model.parameters.filter(({ initial }) => initial)).toEqual([]);
    expect([...opened.weights.tensors.keys()].filter(name => name.includes('pooler'))).toEqual([]);
    const { value } = await runInProcess({ kind: 'evaluate', recipe: recipe('model=merged'), context });
    expect(value.measures).toEqual(result.after?.measures);
  });
});

test.each([
  ['spsft', ['gradient_accumulation_steps=2']],
  ['lora', ['method=lora', 'r=2', 'lora_dropout=0.2']],
  ['full', ['method=full', 'label_smoothing_factor=0.1']],
] as const)('%s: a resumed run has the losses of one that was not stopped, to the bit', async (name, settings) => {
  const all = ['max_steps=3', 'learning_rate=5e-3', ...settings];
  const { whole } = await expectSameWhenStopped({ folder, context, train, name, settings: all, step: 1 });
  expect(new Set(whole.losses.values()).size).toBe(3);
});

test('two batches of two add up to one of four, whatever the number of words in each', async () => {
  const settings = ['max_steps=2', 'data.shuffle=false', 'max_grad_norm=0', 'method=lora', 'r=2', 'lora_dropout=0'];
  // The model drops states at random, depending on the shape of the batch.
  const config = readRecord(join(folder, 'model', 'config.json'));
  cpSync(join(folder, 'model'), join(folder, 'plain'), { recursive: true });
  writeFileSync(
    join(folder, 'plain', 'config.json'),
    JSON.stringify({ ...config, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }),
  );
  const whole = await train('whole batch', [...settings, 'model=plain', 'per_device_train_batch_size=4']);
  const parts = await train('parts of a batch', [
    ...settings,
    'model=plain',
    'per_device_train_batch_size=2',
    'gradient_accumulation_steps=2',
  ]);
  for (const [step, loss] of whole.losses) expect(parts.losses.get(step)).toBeCloseTo(loss, 5);
  expect(parts.value.after?.loss).toBeCloseTo(lossOf(whole.value.after), 5);
});

test('the estimate prices a head that labels each token', async () => {
  const headers = await readModelHeaders(join(folder, 'model'));
  const { activationBytes: tokens } = estimateRecipe({ recipe: recipe('recompute=none'), headers });
  const { activationBytes: texts } = estimateRecipe({ recipe: recipe('recompute=none', 'task=sequence_classification'), headers });
  expect(tokens).toBeGreaterThan(0.8 * texts);
});

test.each(['taylor', 'fisher', 'wanda'])('rows are scored by %s', async measure => {
  const outputFile = join(folder, `${measure}.safetensors`);
  const { value } = await runInProcess({
    kind: 'importance',
    recipe: recipe(`importance.measure=${measure}`, 'importance.samples=8'),
    outputFile,
    context,
  });
  expect(value.samples).toBe(8);
});
