/** Tests runs on judged answers: metrics, the cached base model, evaluations with any batch size, a resume bit for bit, and scored rows. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { JobRequest } from '../../../../trainer/protocol/messages/job-messages.ts';
import { readMetrics } from '../../../../trainer/run/metrics-file.ts';
import { lossOf, measureOf } from '../../../support/runs/evaluated.ts';
import { runInProcess, trainRunsIn } from '../../../support/runs/run-in-process.ts';
import { expectScoredRows } from '../../../support/runs/scored-rows.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const context = { ...task.context, cacheDir: join(task.folder, 'cache') };

const judged = (n: number): string =>
  `${JSON.stringify({ prompt: `Q${n}: `, completion: n % 2 ? `ok ${n % 7}` : `no${'!'.repeat(3 + (n % 9))}`, label: n % 2 === 1 })}\n`;
const write = (name: string, from: number, to: number): void =>
  writeFileSync(join(task.folder, name), Array.from({ length: to - from }, (_, i) => judged(from + i)).join(''));
write('judged.jsonl', 0, 25);
write('held.jsonl', 25, 34);
const recipe = (...overrides: string[]) =>
  task.recipe(
    'engine=portable',
    'task=kto',
    'data.train=judged.jsonl',
    'data.eval=held.jsonl',
    'max_length=32',
    'per_device_train_batch_size=4',
    ...overrides,
  );
const train = trainRunsIn(task.folder, context, recipe);

test('a run learns to prefer good answers, and is evaluated the same by batches of any size', async () => {
  const settings = ['num_train_epochs=4', 'learning_rate=0.02', 'preference.beta=0.5', 'gradient_accumulation_steps=2'];
  const { value, losses, events } = await train('first', settings);
  const { before, after } = value;
  expect(losses.get(1)).toBeCloseTo(0.5, 5);
  expect(before?.loss).toBeCloseTo(0.5, 5);
  expect(before?.measures).toMatchObject({ margin: expect.closeTo(0, 5), kl: expect.closeTo(0, 5) });
  expect(after?.loss).toBeLessThan(0.35);
  const { margin = 0, reward_desirable: good = 0, reward_undesirable: bad = 0 } = after?.measures ?? {};
  expect(margin).toBeCloseTo(good - bad, 6);
  expect(margin).toBeGreaterThan(1);
  const lines = await readMetrics(join(task.folder, 'first'));
  expect(lines.at(-1)).toMatchObject({ eval_margin: margin, eval_kl: after?.measures?.kl });
  expect(lines.some(({ kl, reward_desirable }) => kl !== undefined && reward_desirable !== undefined)).toBe(true);
  expect(events.flatMap(event => (event.type === 'phase' ? [event.name] : []))).toContain('reference');
  for (const size of [1, 4, 9]) {
    const request: JobRequest = {
      kind: 'evaluate',
      recipe: recipe('preference.beta=0.5', `per_device_eval_batch_size=${size}`),
      adapter: join(task.folder, 'first'),
      context,
    };
    const { value: again } = await runInProcess(request);
    expect(again.loss).toBeCloseTo(lossOf(after), 5);
    expect(again.measures?.margin).toBeCloseTo(margin, 4);
    expect(again.measures?.kl).toBeCloseTo(measureOf(after, 'kl'), 4);
  }
});

test('two batches of two add up to one of four where there is no reference point', async () => {
  const settings = [
    'max_steps=2',
    'data.shuffle=false',
    'group_by_length=false',
    'max_grad_norm=0',
    'preference.loss_type=apo_zero_unpaired',
  ];
  const whole = await train('whole batch', settings);
  const parts = await train('parts of a batch', [...settings, 'per_device_train_batch_size=2', 'gradient_accumulation_steps=2']);
  for (const [step, loss] of whole.losses) expect(parts.losses.get(step)).toBeCloseTo(loss, 5);
  expect(parts.value.after?.loss).toBeCloseTo(lossOf(whole.value.after), 5);
});

test.each([
  ['spsft', ['gradient_accumulation_steps=2', 'logging_steps=4']],
  ['lora', ['method=lora', 'r=4', 'lora_dropout=0.2', 'preference.loss_type=apo_zero_unpaired', 'preference.undesirable_weight=1.2']],
] as const)('a resumed run (%s) has the losses of one that was not stopped, also without the cache', async (name, settings) => {
  const all = ['max_steps=7', 'save_strategy="no"', ...settings];
  const beforeResume = () => rmSync(join(context.cacheDir, 'reference'), { recursive: true });
  const { rest } = await expectSameWhenStopped({ folder: task.folder, context, train, name, settings: all, step: 4, beforeResume });
  expect(rest.events.flatMap(event => (event.type === 'phase' ? [event.name] : []))).not.toContain('reference');
  const measures = async (dir: string) =>
    (await readMetrics(join(task.folder, dir))).flatMap(({ margin, kl }) => (kl === undefined ? [] : [[margin, kl]]));
  expect(await measures(`${name} parts`)).toEqual(await measures(`${name} whole`));
});

test('rows are scored by what separates good answers from bad ones', async () => {
  await expectScoredRows({ folder: task.folder, context, recipe, measures: ['taylor', 'wanda'] });
});

test('a run counts both kinds and warns, and a single answer has no other to be compared with', async () => {
  writeFileSync(join(task.folder, 'good.jsonl'), [1, 3, 5, 7].map(judged).join(''));
  const { events } = await train('good', ['max_steps=1', 'data.train=good.jsonl', 'eval_strategy="no"']);
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'log', level: 'warning', message: expect.stringMatching(/^all 4 answers are desirable/) }),
  );
  writeFileSync(join(task.folder, 'single.jsonl'), judged(1));
  await expect(train('single', ['max_steps=1', 'data.train=single.jsonl'])).rejects.toThrow('the training data has a single answer');
  await expect(train('held', ['max_steps=1', 'data.eval=single.jsonl'])).rejects.toThrow('the held-out data has a single answer');
});
