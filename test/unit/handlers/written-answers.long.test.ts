/** Tests evaluations that write answers to held-out prompts: in a run, after it, and for several objectives. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { priceRun } from '../../../trainer/plan/memory/predict.ts';
import { planRun } from '../../../trainer/plan/run-plan.ts';
import { readMetrics } from '../../../trainer/run/metrics-file.ts';
import { runInProcess, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const context = { ...task.context, cacheDir: join(task.folder, 'cache') };

const lines = (records: readonly object[]): string => records.map(record => `${JSON.stringify(record)}\n`).join('');
/** The answer to every prompt is the same, so that a tiny model can learn it. */
const ANSWER = '[1]';
const prompts = Array.from({ length: 12 }, (_, i) => `Q${i}: `);
writeFileSync(join(task.folder, 'texts.jsonl'), lines(prompts.map(prompt => ({ prompt, completion: ANSWER }))));
writeFileSync(join(task.folder, 'pairs.jsonl'), lines(prompts.map(prompt => ({ prompt, chosen: ANSWER, rejected: 'no' }))));

const recipe = (...overrides: string[]) =>
  task.recipe(
    'engine=portable',
    'method=lora',
    'target_modules=all-linear',
    'data.train=texts.jsonl',
    'data.eval=[]',
    'val_size=4',
    'eval_generation.checks=[exact_match, rouge_l, json, pattern]',
    'eval_generation.pattern=^\\[1',
    'eval_generation.max_new_tokens=6',
    ...overrides,
  );
const train = trainRunsIn(task.folder, context, recipe);

test('a run reports its answers before, during and after training, and evaluate reports the same', async () => {
  const settings = ['num_train_epochs=12', 'learning_rate=0.03', 'eval_strategy=steps', 'eval_steps=12'];
  const { value, events } = await train('first', settings);
  expect(value.before?.measures).toMatchObject({ exact_match: 0, json: 0, pattern: 0 });
  expect(value.after?.measures).toMatchObject({ exact_match: 1, rouge_l: 1, json: 1, pattern: 1 });
  expect(value.after?.answers).toHaveLength(4);
  expect(value.after?.answers?.[0]).toMatchObject({ prompt: expect.stringMatching(/^Q\d+: $/), reference: ANSWER, answer: ANSWER });
  expect(events).toContainEqual(
    expect.objectContaining({
      type: 'log',
      message: 'each evaluation also answers 4 held-out prompts with at most 6 tokens each, 24 in total',
    }),
  );
  const metrics = await readMetrics(join(task.folder, 'first'));
  expect(metrics.filter(({ eval_json: json }) => json !== undefined).length).toBeGreaterThan(2);
  const adapter = join(task.folder, 'first');
  const kept = readFileSync(join(adapter, 'answers.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(kept.map(({ step }) => step)).toEqual(
    metrics.flatMap(({ step, eval_json: json }) => (json === undefined ? [] : Array(4).fill(step))),
  );
  expect(kept.slice(0, 4).map(({ step, ...answer }) => answer)).toEqual(value.before?.answers);
  expect(kept.slice(-4).map(({ step, ...answer }) => answer)).toEqual(value.after?.answers);
  const answersFile = join(task.folder, 'evaluated', 'answers.jsonl');
  const evaluating = { kind: 'evaluate', recipe: recipe(), adapter, answersFile, context } as const;
  const { value: evaluated } = await runInProcess(evaluating);
  expect(readFileSync(answersFile, 'utf8')).toBe(lines(kept.slice(-4)));
  await expect(runInProcess(evaluating)).rejects.toMatchObject({
    code: 'output-unusable',
    message: expect.stringContaining('a file of this name exists'),
  });
  const unchecked = { ...evaluating, recipe: recipe('eval_generation.checks=[]'), answersFile: `${answersFile}.new` };
  await expect(runInProcess(unchecked)).rejects.toMatchObject({ code: 'no-data' });
  expect(evaluated.measures).toEqual(value.after?.measures);
  expect(evaluated.answers).toEqual(value.after?.answers);
  const [untrained] = value.before?.answers ?? [];
  const options = { engine: 'portable', chat: false, maxNewTokens: 6, temperature: 0, topK: 0, topP: 1, seed: 0 } as const;
  const asked = { model: join(task.folder, 'model'), revision: 'main', prompt: untrained?.prompt ?? '', options };
  const { value: said } = await runInProcess({ kind: 'generate', ...asked, context });
  expect(said.text).toBe(untrained?.answer);
});

test('pairs, judged answers and a teacher have prompts too, in bfloat16 as well', async () => {
  const judged = prompts.flatMap((prompt, i) => [{ prompt, completion: i % 2 === 0 ? ANSWER : 'no', label: i % 2 === 0 }]);
  writeFileSync(join(task.folder, 'judged.jsonl'), lines(judged));
  const short = ['max_steps=1', 'eval_generation.max_new_tokens=2', 'eval_strategy=no'];
  for (const settings of [
    ['task=dpo', 'data.train=pairs.jsonl'],
    ['task=kto', 'data.train=judged.jsonl', 'val_size=0.5'],
    ['task=distillation', 'distillation.teacher=model', 'dtype=bfloat16'],
  ]) {
    const { value } = await train(elementAt(settings, 0), [...short, ...settings]);
    for (const found of [value.before, value.after])
      for (const { reference, answer } of found?.answers ?? [])
        expect([reference, answer.length > 0 && answer.length <= 2]).toEqual([ANSWER, true]);
    expect(value.after?.answers?.length).toBeGreaterThan(0);
  }
});

test('answers that are written together are those that are written one by one, and all are kept', async () => {
  const settings = ['max_steps=3', 'learning_rate=0.03', 'val_size=11', 'eval_generation.max_new_tokens=9', 'eval_strategy=no'];
  const answersOf = async (together: number) => {
    const name = `together ${together}`;
    await train(name, [...settings, `per_device_eval_batch_size=${together}`]);
    return readFileSync(join(task.folder, name, 'answers.jsonl'), 'utf8');
  };
  const alone = await answersOf(1);
  expect(alone.trimEnd().split('\n')).toHaveLength(2 * 11);
  for (const together of [2, 3, 8]) expect(await answersOf(together)).toBe(alone);
});

test('a resumed run has the answers of its checkpoint and those after it', async () => {
  const settings = ['learning_rate=0.03', 'eval_strategy=steps', 'eval_steps=1', 'save_strategy=steps', 'save_steps=2', 'max_steps=4'];
  const answers = () => readFileSync(join(task.folder, 'again', 'answers.jsonl'), 'utf8');
  await train('again', settings);
  const whole = answers();
  const checkpoints = join(task.folder, 'again', 'checkpoints');
  for (const name of readdirSync(checkpoints)) if (name !== 'step-000002') rmSync(join(checkpoints, name), { recursive: true });
  writeFileSync(join(task.folder, 'again', 'answers.jsonl'), `${whole}{"step": 5, "prom`);
  await runInProcess({ kind: 'resume', runDir: join(task.folder, 'again'), overrides: [], context });
  expect(answers()).toBe(whole);
});

test('texts without a prompt have nothing to answer', async () => {
  writeFileSync(join(task.folder, 'plain.jsonl'), lines(prompts.map(text => ({ text }))));
  await expect(train('plain', ['data.train=plain.jsonl', 'max_steps=1'])).rejects.toMatchObject({
    code: 'no-data',
    message: 'no held-out sample has a prompt, so eval_generation has nothing to answer',
  });
});

test('the estimate counts the cache of keys and values', async () => {
  const { config, tensors } = await readModelHeaders(join(task.folder, 'model'));
  const bytesOf = (...overrides: string[]): number =>
    priceRun(planRun({ recipe: recipe(...overrides), headers: { config, tensors }, on: { engine: 'tensorflow', device: 'cpu' } }))
      .activationBytes;
  const plan = planRun({ recipe: recipe(), headers: { config, tensors }, on: { engine: 'tensorflow', device: 'cpu' } });
  const model = causalModel(config);
  const numbersOfToken = model.keyValues.reduce((sum, own) => sum + 2 * (own?.kvHeads ?? 0) * (own?.headDim ?? 0), 0);
  const numbers = numbersOfToken * (plan.answerCache?.tokens ?? 0) * (plan.answerCache?.slots ?? 0);
  expect(plan.answerCache).toMatchObject({ slots: 4 });
  expect(bytesOf() - bytesOf('eval_generation.checks=[]')).toBe(4 * numbers);
});
