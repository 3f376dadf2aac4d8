/** Runs on chats whose answers have weights: the loss is the weighted mean, a weight of 1 changes no bit, and a run resumes bit for bit. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { parseJson } from '../../support/files/read-json.ts';
import { previewInProcess, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const { folder, context } = task;
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'model', 'tokenizer_config.json');
const template = '{% for m in messages %}{{ m.role[:1] }} {{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}a {% endif %}';
const change = (file: string, values: object): void =>
  writeFileSync(file, JSON.stringify({ ...parseJson(readFileSync(file, 'utf8'), z.record(z.string(), z.unknown())), ...values }));
change(config, { chat_template: template });

/** The two answers; each trains its letters and the end token. */
const ANSWERS = ['lunch', 'at noon!'];
const chat = (n: number, weights: readonly (number | undefined)[]): string =>
  `${JSON.stringify({
    messages: ANSWERS.flatMap((content, i) => [
      { role: 'user', content: `q${(n + i) % 10}` },
      { role: 'assistant', content, weight: weights[i] },
    ]),
  })}\n`;
const write = (name: string, ...weights: readonly (number | undefined)[]): void =>
  writeFileSync(join(folder, `${name}.jsonl`), Array.from({ length: 8 }, (_, n) => chat(n, weights)).join(''));

const recipe = (...overrides: string[]) => task.recipe('engine=portable', 'data.eval=[]', 'max_steps=3', ...overrides);
const train = trainRunsIn(folder, context, recipe);
const lossesOf = async (name: string, weights: readonly (number | undefined)[], ...settings: string[]): Promise<number[]> => {
  write(name, ...weights);
  const { losses } = await train(`run ${name} ${settings.join(' ')}`, [`data.train=${name}.jsonl`, ...settings]);
  return [...losses.values()];
};

cpSync(join(folder, 'model'), join(folder, 'teacher'), { recursive: true });
// The copy predicts other tokens than the original model.
change(join(folder, 'teacher', 'config.json'), { rms_norm_eps: 0.5 });

test.each([
  ['next tokens', []],
  ['a teacher', ['task=distillation', 'distillation.teacher=teacher', 'distillation.top_k=8', 'distillation.alpha=0.5']],
])('the loss by %s is the mean over targets, weighted by those of their turns', async (_, settings) => {
  const [[first = 0], [second = 0], [both = 0]] = [
    await lossesOf('first', [1, 0], ...settings),
    await lossesOf('second', [0, 1], ...settings),
    await lossesOf('both', [0.25, 1], ...settings),
  ];
  const [a, b] = ANSWERS.map(({ length }) => length + 1);
  const [one, other] = [0.25 * (a ?? 0), b ?? 0];
  expect(first).not.toBeCloseTo(second, 3);
  expect(both).toBeCloseTo((one * first + other * second) / (one + other), 5);
});

test('a weight of 1 changes no bit, and one weight for all changes only rounding', async () => {
  const plain = await lossesOf('plain', []);
  expect(await lossesOf('ones', [1, 1])).toEqual(plain);
  const halves = await lossesOf('halves', [0.5, 0.5]);
  for (const [i, loss] of plain.entries()) expect(halves[i]).toBeCloseTo(loss, 5);
});

test('accumulated and packed batches have the losses of whole ones', async () => {
  // Each update uses all samples.
  const lossesBy = (...settings: string[]) => lossesOf('parts', [0.3, 0.9], ...settings);
  const whole = await lossesBy('per_device_train_batch_size=8', 'packing=false');
  const accumulated = await lossesBy('per_device_train_batch_size=2', 'gradient_accumulation_steps=4', 'packing=false');
  const packed = await lossesBy('per_device_train_batch_size=8', 'packing=true');
  expect(whole).toHaveLength(3);
  for (const [i, loss] of whole.entries()) {
    expect(accumulated[i]).toBeCloseTo(loss, 5);
    expect(packed[i]).toBeCloseTo(loss, 4);
  }
});

test('a resumed run has the losses of one that was not stopped, and refuses other weights', async () => {
  write('stopped', 0.4, 0.8);
  const settings = ['data.train=stopped.jsonl'];
  await expectSameWhenStopped({ folder, context, train, name: 'stopped', settings, step: 1 });
  const changed = expectSameWhenStopped({
    folder,
    context,
    train,
    name: 'changed',
    settings,
    step: 1,
    beforeResume: () => write('stopped', 0.4, 0.7),
  });
  await expect(changed).rejects.toThrow(/samples then, 8 now, or others/);
});

test('the preview shows the weight of each answer', async () => {
  write('shown', 0.5, undefined);
  const { value } = await previewInProcess(recipe('data.train=shown.jsonl'), context, { count: 1 });
  const runs = value.page.samples[0]?.sequences[0]?.runs ?? [];
  expect(runs.flatMap(({ use, weight }) => (use === 'trained' ? [weight] : []))).toEqual([0.5, undefined]);
});
