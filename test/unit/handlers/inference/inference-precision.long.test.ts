/** Tests that jobs that read a model hold it as the run did, unless the request names other types. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { GenerateOptions } from '../../../../trainer/protocol/messages/job-messages.ts';
import { runInProcess, trainRunsIn } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const prompts = Array.from({ length: 12 }, (_, i) => `Q${i}: `);
writeFileSync(join(task.folder, 'texts.jsonl'), prompts.map(prompt => `${JSON.stringify({ prompt, completion: '[1]' })}\n`).join(''));

const recipe = (...overrides: string[]) =>
  task.recipe(
    'data.train=texts.jsonl',
    'data.eval=[]',
    'val_size=4',
    'max_steps=2',
    'importance.measure=magnitude',
    'eval_generation.checks=[exact_match]',
    'eval_generation.max_new_tokens=12',
    ...overrides,
  );
const train = trainRunsIn(task.folder, context, recipe);

const written = (run: string, prompt: string, options: Partial<GenerateOptions> = {}, keepSeconds = 0) => {
  const adapter = join(task.folder, run);
  return runInProcess({
    kind: 'generate',
    model: 'model',
    revision: 'main',
    adapter,
    promptOf: adapter,
    prompt,
    keepSeconds,
    options: { engine: 'auto', chat: true, maxNewTokens: 12, temperature: 0, topP: 1, topK: 0, seed: 1, ...options },
    context,
  });
};
const logged = (message: string | RegExp) =>
  expect.objectContaining({ type: 'log', message: typeof message === 'string' ? message : expect.stringMatching(message) });

test.each([
  ['columns', 'nf4', 'float32', 'quantize: nf4'],
  ['rows', 'int8', 'bfloat16', 'dtype: bfloat16 and quantize: int8'],
])('a run of %s next to %s weights in %s writes what it wrote in its evaluation', async (unit, quantize, dtype, kept) => {
  const { value } = await train(quantize, [`trains=${unit}`, `quantize=${quantize}`, `dtype=${dtype}`]);
  const answers = value.after?.answers ?? [];
  expect(answers).toHaveLength(4);
  for (const { prompt, answer } of answers) {
    const asInRun = await written(quantize, prompt);
    expect(asInRun.value).toMatchObject({ text: answer, asTrained: true });
    expect(asInRun.events).toContainEqual(logged(`${kept}, as in the run`));
  }
});

test('a request names other types, which take other memory and write other texts', async () => {
  await train('other', ['trains=columns', 'quantize=nf4', 'dtype=bfloat16']);
  const [bytes, texts] = [new Set<string>(), new Set<string>()];
  for (const options of [{}, { dtype: 'float32' }, { quantize: 'none' }, { dtype: 'float32', quantize: 'none' }] as const) {
    const { value, events } = await written('other', 'Q1: ', options, 60);
    const line = events.flatMap(event => (event.type === 'log' && event.message.includes('stays loaded') ? [event.message] : []));
    expect(line).toHaveLength(1);
    bytes.add(String(line));
    texts.add(value.text);
    const isNamed = 'dtype' in options && 'quantize' in options;
    expect(events.some(event => event.type === 'log' && event.message.endsWith('as in the run'))).toBe(!isNamed);
  }
  expect(bytes.size).toBe(4);
  expect(texts.size).toBeGreaterThan(1);
});
