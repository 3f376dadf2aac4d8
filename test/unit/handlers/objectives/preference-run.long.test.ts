/** Runs on pairs of answers: metrics, the cached base model, accumulation, a resume to the bit, and rows scored by the objective's loss. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { TrainResult } from '../../../../trainer/handlers/train/train-run.ts';
import { readModelHeaders } from '../../../../trainer/hub/open-model.ts';
import { estimateRecipe } from '../../../../trainer/plan/memory/predict.ts';
import type { JobRequest } from '../../../../trainer/protocol/messages/job-messages.ts';
import { readMetrics } from '../../../../trainer/run/metrics-file.ts';
import { readJson } from '../../../support/files/read-json.ts';
import { lossOf, measureOf } from '../../../support/runs/evaluated.ts';
import { pairRuns } from '../../../support/runs/pair-runs.ts';
import { type InProcess, runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectScoredRows } from '../../../support/runs/scored-rows.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
// A separate cache, because the base model's log-probabilities are stored there.
const context = { ...task.context, cacheDir: join(task.folder, 'cache') };

const { recipe, train } = pairRuns(task, 'dpo', context);
const phases = ({ events }: InProcess<unknown>): string[] => events.flatMap(event => (event.type === 'phase' ? [event.name] : []));

describe('a run on pairs', () => {
  let first: InProcess<TrainResult>;
  beforeAll(async () => {
    first = await train('first', ['num_train_epochs=4', 'learning_rate=0.02', 'preference.beta=0.5']);
  });

  test('starts at log 2 without a margin and learns to prefer the better answers', async () => {
    const { before, after } = first.value;
    expect(first.losses.get(1)).toBeCloseTo(Math.LN2, 5);
    expect(before?.loss).toBeCloseTo(Math.LN2, 5);
    expect(before?.measures).toMatchObject({ margin: expect.closeTo(0, 5), kl: expect.closeTo(0, 5) });
    expect(after?.loss).toBeLessThan(0.3);
    expect(after?.measures).toMatchObject({ accuracy: 1 });
    const { margin = 0, reward_chosen: chosen = 0, reward_rejected: rejected = 0, kl = 0 } = after?.measures ?? {};
    expect(margin).toBeCloseTo(chosen - rejected, 6);
    expect(margin).toBeGreaterThan(1);
    expect(kl).toBeGreaterThan(0);
    const lines = await readMetrics(join(task.folder, 'first'));
    expect(
      lines.filter(({ loss }) => loss !== undefined).every(line => Object.hasOwn(line, 'margin') && Object.hasOwn(line, 'accuracy')),
    ).toBe(true);
    expect(lines.at(-1)).toMatchObject({ eval_accuracy: 1, eval_margin: margin, eval_kl: kl });
  });

  test('computes the base model once, and keeps what it gave in the run and in the cache', async () => {
    expect(phases(first)).toContain('reference');
    expect(existsSync(join(task.folder, 'first', 'reference.safetensors'))).toBe(true);
    expect(readdirSync(join(context.cacheDir, 'reference'))).toHaveLength(2);
    const again = await train('again', ['max_steps=1', 'preference.beta=0.5', 'learning_rate=0.02', 'num_train_epochs=4']);
    expect(phases(again)).not.toContain('reference');
    expect(again.losses.get(1)).toBe(first.losses.get(1));
  });

  test('is evaluated as during training', async () => {
    const request: JobRequest = { kind: 'evaluate', recipe: recipe('preference.beta=0.5'), adapter: join(task.folder, 'first'), context };
    const { value } = await runInProcess(request);
    expect(value.loss).toBeCloseTo(lossOf(first.value.after), 5);
    expect(value.measures?.margin).toBeCloseTo(measureOf(first.value.after, 'margin'), 4);
  });
});

test.each(['dpo', 'orpo', 'simpo'])('%s: two batches of two add up to one of four', async objective => {
  const settings = [`task=${objective}`, 'max_steps=2', 'data.shuffle=false', 'max_grad_norm=0'];
  const whole = await train(`${objective} whole batch`, [...settings, 'per_device_train_batch_size=4']);
  const parts = await train(`${objective} parts of a batch`, [
    ...settings,
    'per_device_train_batch_size=2',
    'gradient_accumulation_steps=2',
  ]);
  for (const [step, loss] of whole.losses) expect(parts.losses.get(step)).toBeCloseTo(loss, 5);
  expect(whole.losses.size).toBe(2);
  expect(parts.value.after?.loss).toBeCloseTo(lossOf(whole.value.after), 5);
  expect(existsSync(join(task.folder, `${objective} whole batch`, 'reference.safetensors'))).toBe(objective === 'dpo');
});

test.each([
  ['spsft', ['gradient_accumulation_steps=2', 'logging_steps=4']],
  ['lora', ['method=lora', 'r=4', 'lora_dropout=0.2', 'preference.loss_type=ipo']],
] as const)('a resumed run (%s) has the losses of one that was not stopped, also without the cache', async (name, settings) => {
  const all = ['max_steps=6', 'save_strategy="no"', ...settings];
  const beforeResume = () => rmSync(join(context.cacheDir, 'reference'), { recursive: true });
  const { rest } = await expectSameWhenStopped({ folder: task.folder, context, train, name, settings: all, step: 4, beforeResume });
  expect(phases(rest)).not.toContain('reference');
  const measures = async (dir: string) =>
    (await readMetrics(join(task.folder, dir))).flatMap(({ margin, accuracy, kl }) =>
      margin === undefined ? [] : [[margin, accuracy, kl]],
    );
  expect(await measures(`${name} parts`)).toEqual(await measures(`${name} whole`));
});

test('the estimate prices both answers of each pair, as the run does', async () => {
  const headers = await readModelHeaders(join(task.folder, 'model'));
  const priced = (...overrides: string[]) => estimateRecipe({ recipe: recipe('recompute=none', ...overrides), headers });
  const pairs = priced('per_device_train_batch_size=2');
  expect(pairs.buckets[0]?.shape).toEqual({ batch: 4, tokens: 32, targets: 4 * 31 });
  const rows = priced('task=causal_lm', 'per_device_train_batch_size=4');
  expect(Math.abs(pairs.activationBytes / rows.activationBytes - 1)).toBeLessThan(0.1);
  // The run is priced with its own batches of the same rows.
  await train('priced', ['max_steps=1', 'per_device_train_batch_size=2', 'recompute=none']);
  const { predicted } = readJson(
    join(task.folder, 'priced', 'memory.json'),
    z.object({ predicted: z.object({ activationBytes: z.number() }) }),
  );
  expect(predicted.activationBytes).toBeGreaterThan(0.4 * pairs.activationBytes);
  expect(predicted.activationBytes).toBeLessThan(1.1 * pairs.activationBytes);
});

test('rows are scored by what separates the answers', async () => {
  await expectScoredRows({ folder: task.folder, context, recipe, measures: ['taylor', 'fisher', 'wanda'] });
});
