/** Tests that the scores of a sample's answers equal those of the run's evaluation, before and after tuning. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { required } from '../../../../trainer/narrow.ts';
import type { ComparedSample } from '../../../../trainer/protocol/view/compared-sample.ts';
import { measureOf } from '../../../support/runs/evaluated.ts';
import { pairRuns } from '../../../support/runs/pair-runs.ts';
import { runInProcess } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const context = { ...task.context, cacheDir: join(task.folder, 'cache') };
const { train } = pairRuns(task, 'dpo', context);
const judged = [true, false].map((label, n) => ({ prompt: `Q${n}: `, completion: label ? `ok ${n}` : 'no!!!', label }));
writeFileSync(join(task.folder, 'judged.jsonl'), judged.map(value => `${JSON.stringify(value)}\n`).join(''));

const HELD = 2;
const options = { maxNewTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 1, chat: false, engine: 'portable' } as const;

async function sampleOf(run: string, sample: number): Promise<ComparedSample> {
  const adapter = join(task.folder, run);
  const { value } = await runInProcess({
    kind: 'generate',
    model: 'model',
    revision: 'main',
    adapter,
    prompt: 'Sample',
    sample,
    options,
    context,
  });
  return required(value.compared, 'the scores of a sample');
}

const samplesOf = async (run: string): Promise<readonly ComparedSample[]> => {
  const found: ComparedSample[] = [];
  for (let i = 0; i < HELD; i++) found.push(await sampleOf(run, i));
  return found;
};

/** Returns the mean over the samples that have the answer. */
function meanOf(samples: readonly ComparedSample[], side: string, of: 'base' | 'tuned'): number {
  const values = samples.flatMap(({ measure, answers }) =>
    answers.flatMap(answer => (answer.side === side ? [(answer[of] ?? Number.NaN) * (measure === 'logp' ? answer.tokens : 1)] : [])),
  );
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const trained = ['max_steps=2', 'learning_rate=0.02', `data.eval_max_samples=${HELD}`];

test.each([
  ['dpo', ['chosen', 'rejected'], []],
  ['orpo', ['chosen', 'rejected'], []],
  ['kto', ['desirable', 'undesirable'], ['data.eval=judged.jsonl']],
] as const)('%s: log-probabilities per token, times the tokens, are those of the evaluation', async (objective, sides, more) => {
  const { before, after } = (await train(objective, [`task=${objective}`, ...trained, ...more])).value;
  const samples = await samplesOf(objective);
  expect(samples.map(({ part, index, count, measure }) => [part, index, count, measure])).toEqual(
    samples.map((_, i) => ['eval', i, HELD, 'logp']),
  );
  for (const side of sides) {
    expect(meanOf(samples, side, 'base')).toBeCloseTo(measureOf(before, `logp_${side}`), 4);
    expect(meanOf(samples, side, 'tuned')).toBeCloseTo(measureOf(after, `logp_${side}`), 4);
  }
  expect(measureOf(after, `logp_${sides[0]}`)).not.toBeCloseTo(measureOf(before, `logp_${sides[0]}`), 2);
});

test('a reward model gives the rewards of the evaluation, and before tuning its new head has none', async () => {
  const { after } = (await train('reward', ['task=reward', ...trained])).value;
  const samples = await samplesOf('reward');
  for (const side of ['chosen', 'rejected']) expect(meanOf(samples, side, 'tuned')).toBeCloseTo(measureOf(after, `reward_${side}`), 4);
  expect(samples[0]).toMatchObject({ measure: 'reward' });
  expect(samples.flatMap(({ answers }) => answers.map(({ base }) => base))).toEqual(Array.from({ length: 2 * HELD }, () => undefined));
});

test('texts are those of the data, of training data where none is held out, and a sample that there is not is refused', async () => {
  await train('no held', ['max_steps=1', 'data.eval=[]', 'eval_strategy="no"']);
  const sample = await sampleOf('no held', 1);
  expect(sample).toMatchObject({ part: 'train', index: 1, count: 24, prompt: 'Q1: ' });
  expect(sample.answers.map(({ side, text }) => [side, text.trim()])).toEqual([
    ['chosen', 'ok 1'],
    ['rejected', 'no!!!!'],
  ]);
  await expect(sampleOf('no held', 24)).rejects.toThrow('there is no sample 25: the data has 24');
});
