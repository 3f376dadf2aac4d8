/**
 * Tests evaluations whose answers a reward model scores: its own numbers for the same conversations, whatever its template, tokenizer and
 * kind.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { estimateRecipe } from '../../../trainer/plan/memory/predict.ts';
import type { AnswerView } from '../../../trainer/protocol/view/run.ts';
import { parseJson } from '../../support/files/read-json.ts';
import { makeEncoderTask } from '../../support/runs/encoder-task.ts';
import { measureOf } from '../../support/runs/evaluated.ts';
import { pairRuns } from '../../support/runs/pair-runs.ts';
import { runInProcess, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const { folder, context } = task;
const rewards = pairRuns(task, 'reward', context);
const encoder = makeEncoderTask(['task=reward', 'data.train=pairs.jsonl', 'data.eval=pairs.jsonl'], {
  'pairs.jsonl': readFileSync(join(folder, 'pairs.jsonl'), 'utf8'),
});
afterAll(() => {
  for (const used of [folder, encoder.folder]) rmSync(used, { recursive: true, force: true });
});

const lines = (records: readonly object[]): string => records.map(record => `${JSON.stringify(record)}\n`).join('');
writeFileSync(join(folder, 'texts.jsonl'), lines(Array.from({ length: 12 }, (_, i) => ({ prompt: `Q${i}: `, completion: '[1]' }))));
writeFileSync(
  join(folder, 'chats.jsonl'),
  lines(
    Array.from({ length: 12 }, (_, i) => ({
      messages: [
        { role: 'system', content: 'brief' },
        { role: 'user', content: `q${i}` },
        { role: 'assistant', content: 'what' },
        { role: 'user', content: `and ${i}` },
        { role: 'assistant', content: '[1]' },
      ],
    })),
  ),
);

/** Copies the tiny model with a chat template. @param mark starts each turn */
function withTemplate(name: string, mark: string): void {
  cpSync(join(folder, 'model'), join(folder, name), { recursive: true });
  const file = join(folder, name, 'tokenizer_config.json');
  const turn = `${mark}{{ m.role[:1] }} {{ m.content }}</s>\n`;
  const chat_template = `{% for m in messages %}${turn}{% endfor %}{% if add_generation_prompt %}${mark}a {% endif %}`;
  writeFileSync(file, JSON.stringify({ ...parseJson(readFileSync(file, 'utf8'), z.record(z.string(), z.unknown())), chat_template }));
}
withTemplate('chatty', '<');
withTemplate('judge', '#!');

const recipe = (...overrides: string[]) =>
  task.recipe(
    'engine=portable',
    'method=lora',
    'target_modules=all-linear',
    'data.train=texts.jsonl',
    'data.eval=[]',
    'val_size=4',
    'max_steps=6',
    'learning_rate=0.03',
    'eval_generation.reward_model=rewards',
    'eval_generation.max_new_tokens=6',
    ...overrides,
  );
const train = trainRunsIn(folder, context, recipe);
const short = ['max_steps=2', 'learning_rate=0.02'];

const lineSchema = z.object({
  step: z.number(),
  prompt: z.string(),
  reference: z.string(),
  answer: z.string(),
  scores: z.record(z.string(), z.number()),
  reward: z.number(),
  baseReward: z.number().optional(),
});
const answersOf = (run: string) =>
  readFileSync(join(folder, run, 'answers.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => parseJson(line, lineSchema));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Returns the mean reward of answers from an evaluation of the reward model itself, which reads no empty answer. */
async function ownRewards(
  judge: Pick<typeof rewards, 'recipe'> & { readonly in: string; readonly run: string },
  pairs: readonly { readonly prompt: unknown; readonly answer: string }[],
): Promise<number> {
  const file = join(folder, 'own.jsonl');
  writeFileSync(
    file,
    lines(
      pairs.map(({ prompt, answer }) => ({
        prompt,
        chosen: [{ role: 'assistant', content: answer }],
        rejected: [{ role: 'assistant', content: 'zz' }],
      })),
    ),
  );
  if (pairs.every(({ prompt }) => typeof prompt === 'string'))
    writeFileSync(file, lines(pairs.map(({ prompt, answer }) => ({ prompt, chosen: answer, rejected: 'zz' }))));
  const { value } = await runInProcess({
    kind: 'evaluate',
    recipe: judge.recipe(`data.eval=${file}`),
    adapter: join(judge.in, judge.run),
    context: { ...context, baseDir: judge.in },
  });
  return measureOf(value, 'reward_chosen');
}

const isWritten = ({ answer }: Pick<AnswerView, 'answer'>): boolean => answer.trim() !== '';

beforeAll(async () => {
  await rewards.train('rewards', [...short, 'method=full', 'num_train_epochs=2']);
});

describe('a run whose answers are scored', () => {
  test('reports the rewards that the reward model gives, and what was gained', async () => {
    const { value } = await train('scored', ['eval_generation.checks=[exact_match]', 'eval_strategy=steps', 'eval_steps=3']);
    const all = answersOf('scored');
    for (const [step, found] of [
      [0, value.before],
      [6, value.after],
    ] as const) {
      const own = all.filter(each => each.step === step);
      expect(own).toHaveLength(4);
      expect(measureOf(found, 'reward')).toBeCloseTo(mean(own.map(({ reward }) => reward)), 6);
      const written = own.filter(isWritten);
      expect(await ownRewards({ ...rewards, in: folder, run: 'rewards' }, written)).toBeCloseTo(
        mean(written.map(({ reward }) => reward)),
        5,
      );
    }
    const gains = all.filter(({ step }) => step === 6).map(({ reward, baseReward = Number.NaN }) => reward - baseReward);
    expect(measureOf(value.after, 'reward_gain')).toBeCloseTo(measureOf(value.after, 'reward') - measureOf(value.before, 'reward'), 5);
    expect(measureOf(value.after, 'reward_win_rate')).toBe(mean(gains.map(gain => (gain > 0 ? 1 : gain < 0 ? 0 : 0.5))));
    expect(value.before?.measures).not.toHaveProperty('reward_gain');
    expect(value.after?.answers?.[0]).toMatchObject({ reward: expect.any(Number), baseReward: expect.any(Number) });
  });

  test('is evaluated later as it was, and the original model without a comparison', async () => {
    const evaluating = { kind: 'evaluate', recipe: recipe(), context } as const;
    const { value } = await runInProcess({ ...evaluating, adapter: join(folder, 'scored') });
    const last = answersOf('scored').filter(({ step }) => step === 6);
    expect(measureOf(value, 'reward')).toBeCloseTo(mean(last.map(({ reward }) => reward)), 5);
    expect(measureOf(value, 'reward_gain')).toBeCloseTo(mean(last.map(({ reward, baseReward = Number.NaN }) => reward - baseReward)), 5);
    const { value: base } = await runInProcess(evaluating);
    expect(Object.keys(base.measures ?? {})).toEqual(['reward']);
    const exporting = { kind: 'export', adapter: join(folder, 'rewards'), format: 'merged', overwrite: false, context } as const;
    await runInProcess({ ...exporting, outputDir: join(folder, 'merged') });
    const { value: merged } = await runInProcess({ ...evaluating, recipe: recipe('eval_generation.reward_model=merged') });
    expect(measureOf(merged, 'reward')).toBeCloseTo(measureOf(base, 'reward'), 4);
  });

  test('that is stopped and resumed has the same rewards', async () => {
    const settings = ['max_steps=4', 'eval_strategy=steps', 'eval_steps=2', 'save_strategy=steps', 'save_steps=2'];
    await expectSameWhenStopped({ folder, context, train, name: 'stopped', settings, step: 2 });
    expect(answersOf('stopped parts')).toEqual(answersOf('stopped whole'));
  });
});

test('a chat is judged by the template of the reward model', async () => {
  await rewards.train('chat rewards', [...short, 'model=judge', 'max_length=64']);
  await train('chat', ['model=chatty', 'data.train=chats.jsonl', 'eval_generation.reward_model="chat rewards"', 'max_length=64']);
  const written = answersOf('chat').filter(({ step, answer }) => step === 6 && answer.trim() !== '');
  expect(written.length).toBeGreaterThan(0);
  const asked = written.map(({ prompt, answer }) => {
    const n = /q(\d+)/.exec(prompt)?.[1];
    const messages = [
      { role: 'system', content: 'brief' },
      { role: 'user', content: `q${n}` },
      { role: 'assistant', content: 'what' },
      { role: 'user', content: `and ${n}` },
    ];
    return { prompt: messages, answer };
  });
  const judge = { recipe: (...more: string[]) => rewards.recipe('model=judge', 'max_length=64', ...more), in: folder, run: 'chat rewards' };
  expect(await ownRewards(judge, asked)).toBeCloseTo(mean(written.map(({ reward }) => reward)), 5);
});

test('an encoder reads question and answer as its two texts; preferences are scored too', async () => {
  await encoder.train('rewards', ['method=full', ...short]);
  const judge = join(encoder.folder, 'rewards');
  const pairs = ['task=dpo', 'data.train=pairs.jsonl', 'max_length=32'];
  const { value } = await train('preferred', [...pairs, ...short, `eval_generation.reward_model=${judge}`]);
  const written = answersOf('preferred').filter(({ step, answer }) => step === 2 && answer.trim() !== '');
  const found = await ownRewards({ recipe: encoder.recipe, in: encoder.folder, run: 'rewards' }, written);
  expect(found).toBeCloseTo(mean(written.map(({ reward }) => reward)), 5);
  expect(value.after?.measures).toMatchObject({
    accuracy: expect.any(Number),
    reward: expect.any(Number),
    reward_gain: expect.any(Number),
  });
  const several = ['data.train=chats.jsonl', 'model=chatty', 'max_length=64', `eval_generation.reward_model=${judge}`];
  await expect(train('several turns', several)).rejects.toThrow(
    'the sample is a chat of several turns, but the model has no chat template',
  );
});

test('models that give no rewards are refused by name', async () => {
  const refused = (name: string) => train(`refused by ${name}`, [`eval_generation.reward_model=${name}`]);
  await expect(refused('model')).rejects.toThrow(
    /the reward model .*model is a model of the family llama, without a head of one number for a text/,
  );
  await expect(refused('scored')).rejects.toThrow(/the reward model .*scored is a run of the task causal_lm \(Language model\)/);
  await expect(refused('nowhere')).rejects.toThrow(/nowhere/);
});

test('the estimate counts it', async () => {
  const headers = await readModelHeaders(join(folder, 'model'));
  const { judgeBytes = 0, ...found } = estimateRecipe({
    recipe: recipe('per_device_eval_batch_size=4'),
    headers,
    judgeConfig: headers.config,
  });
  expect(judgeBytes).toBeGreaterThan(found.weightsBytes / 2);
  expect(found.activationBytes).toBeGreaterThanOrEqual(judgeBytes);
  expect(estimateRecipe({ recipe: recipe('eval_generation.reward_model=null'), headers, judgeConfig: headers.config })).not.toHaveProperty(
    'judgeBytes',
  );
});
