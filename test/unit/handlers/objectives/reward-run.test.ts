/**
 * Tests runs of reward models: a new head on a language model, metrics, accumulation, a resume bit for bit, importance, the estimate and
 * exports.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrainResult } from '../../../../trainer/handlers/train/train-run.ts';
import { openModel, readModelHeaders } from '../../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../../trainer/model/load-model.ts';
import { estimateRecipe } from '../../../../trainer/plan/memory/predict.ts';
import type { JobRequest } from '../../../../trainer/protocol/messages/job-messages.ts';
import { readMetrics } from '../../../../trainer/run/metrics-file.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { lossOf, measureOf } from '../../../support/runs/evaluated.ts';
import { pairRuns } from '../../../support/runs/pair-runs.ts';
import { type InProcess, previewInProcess, runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectScoredRows } from '../../../support/runs/scored-rows.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const { context } = task;
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

// Every third sample states by how much the better answer is better.
const { recipe, train } = pairRuns(task, 'reward', context, n => (n % 3 === 0 ? { margin: 0.5 } : {}));

beforeAll(() => {
  const config = join(task.folder, 'model', 'config.json');
  // Without a padding id, the token that ends texts is used for padding.
  writeFileSync(config, JSON.stringify({ ...readRecord(config), pad_token_id: null }));
});

describe('a run on rewards', () => {
  let first: InProcess<TrainResult>;
  beforeAll(async () => {
    first = await train('first', ['num_train_epochs=4', 'learning_rate=0.02']);
  });

  test('learns to give better answers higher rewards, by more than the margins', async () => {
    const { before, after } = first.value;
    expect(after?.loss).toBeLessThan(0.2);
    expect(after?.loss).toBeLessThan(lossOf(before));
    expect(after?.measures).toMatchObject({ accuracy: 1 });
    const { margin = 0, reward_chosen: chosen = 0, reward_rejected: rejected = 0 } = after?.measures ?? {};
    expect(margin).toBeCloseTo(chosen - rejected, 5);
    expect(margin).toBeGreaterThan(1);
    expect((await readMetrics(join(task.folder, 'first'))).at(-1)).toMatchObject({ eval_accuracy: 1, eval_margin: margin });
  });

  test('writes no text, and says so', async () => {
    const [model, adapter] = ['model', 'first'].map(name => join(task.folder, name));
    const request = { kind: 'generate', context, model: model ?? '', revision: 'main', adapter, prompt: 'Is' } as const;
    const options = { engine: 'auto', maxNewTokens: 4, temperature: 0, topP: 1, topK: 0, seed: 1, chat: true } as const;
    await expect(runInProcess({ ...request, options })).rejects.toThrow('a llama with a head for labels or scores writes no text');
  });

  test('is evaluated as during training', async () => {
    const request: JobRequest = { kind: 'evaluate', recipe: recipe(), adapter: join(task.folder, 'first'), context };
    const { value } = await runInProcess(request);
    expect(value.loss).toBeCloseTo(lossOf(first.value.after), 5);
    expect(value.measures?.margin).toBeCloseTo(measureOf(first.value.after, 'margin'), 4);
  });

  test('a merged export is the class of Transformers that has the head, and can be evaluated and trained further', async () => {
    const outputDir = join(task.folder, 'merged');
    const request: JobRequest = {
      kind: 'export',
      adapter: join(task.folder, 'first'),
      format: 'merged',
      outputDir,
      overwrite: false,
      context,
    };
    await runInProcess(request);
    const { config, weights } = await openModel(outputDir);
    expect(config).toMatchObject({ architectures: ['LlamaForSequenceClassification'], num_labels: 1, pad_token_id: 2 });
    expect([weights.tensors.has('score.weight'), weights.tensors.has('lm_head.weight')]).toEqual([true, false]);
    await weights.close();
    expect(loadModel(config)).toMatchObject({ kind: 'classifier', problem: 'regression' });
    const { value } = await runInProcess({ kind: 'evaluate', recipe: recipe(`model=${outputDir}`), context });
    expect(value.loss).toBeCloseTo(lossOf(first.value.after), 5);
    const further = await train('further', [`model=${outputDir}`, 'max_steps=1']);
    expect(further.value.before?.loss).toBeCloseTo(lossOf(value), 5);
  });
});

test('two batches of two add up to one of four', async () => {
  const settings = ['max_steps=2', 'data.shuffle=false', 'max_grad_norm=0', 'preference.center_rewards_coefficient=0.1'];
  const whole = await train('whole batch', [...settings, 'per_device_train_batch_size=4']);
  const parts = await train('parts of a batch', [...settings, 'per_device_train_batch_size=2', 'gradient_accumulation_steps=2']);
  for (const [step, loss] of whole.losses) expect(parts.losses.get(step)).toBeCloseTo(loss, 5);
  expect(whole.losses.size).toBe(2);
  expect(parts.value.after?.loss).toBeCloseTo(lossOf(whole.value.after), 5);
});

test('a resumed run has the losses of one that was not stopped', async () => {
  const settings = ['max_steps=4', 'save_strategy="no"', 'gradient_accumulation_steps=2', 'logging_steps=2'];
  await expectSameWhenStopped({ folder: task.folder, context, train, name: 'stopped', settings, step: 2 });
});

test('the estimate prices both answers of each pair, without the head for tokens', async () => {
  const headers = await readModelHeaders(join(task.folder, 'model'));
  const { buckets } = estimateRecipe({ recipe: recipe('recompute=none', 'per_device_train_batch_size=2'), headers });
  expect(buckets[0]?.shape).toEqual({ batch: 4, tokens: 32, targets: 4 });
});

test('a model of images is refused, and a preview shows both answers in the batches of the run', async () => {
  cpSync(join(import.meta.dirname, '../../../golden/vit'), join(task.folder, 'vit'), { recursive: true });
  await expect(train('images', ['model=vit'])).rejects.toThrow('a vit that reads no text');
  const { value } = await previewInProcess(recipe(), context, { count: 2 });
  expect(value.page.samples.map(({ sequences }) => sequences.length)).toEqual([2, 2]);
  expect(value.failure).toBeUndefined();
  expect(value.statistics?.parts).toHaveLength(2);
});

test('rows are scored by what separates the answers', async () => {
  await expectScoredRows({ folder: task.folder, context, recipe, measures: ['taylor', 'fisher', 'wanda'] });
});
