/**
 * Tests reward models on an encoder, whose two texts are prompt and answer: they learn, resume bit for bit, and are exported with a head of
 * one number.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createSegmentEncoder } from '../../../../trainer/data/example/segment-encoder.ts';
import { loadPairs } from '../../../../trainer/data/load/load-pairs.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { isRecord } from '../../../../trainer/narrow.ts';
import { datasetSettings } from '../../../../trainer/objective/load-data.ts';
import { groupsOf } from '../../../../trainer/objective/reward/reward-data.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf } from '../../../support/runs/evaluated.ts';
import { previewInProcess, runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';

const pair = (n: number) => ({ prompt: `is ${n} a number`, chosen: `yes ${n % 7}`, rejected: `no ${n % 9}` });
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${JSON.stringify(pair(from + i))}\n`).join('');
const { folder, context, recipe, train } = makeEncoderTask(['task=reward', 'data.train=pairs.jsonl', 'data.eval=held.jsonl'], {
  'pairs.jsonl': lines(0, 24),
  'held.jsonl': lines(24, 32),
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('prompt and answer are the two texts of the tokenizer, the answer of the second type', async () => {
  const opened = await openModel(join(folder, 'model'));
  const tokenizer = await opened.loadTokenizer();
  await opened.weights.close();
  const { samples } = await loadPairs({
    paths: [join(folder, 'pairs.jsonl')],
    settings: datasetSettings({ recipe: recipe() }, undefined),
    tokenizer,
    segments: tokenizer,
    maxLength: 16,
    maxPositions: 16,
  });
  const [group] = groupsOf(samples, true);
  const { chosen, prompt } = pair(0);
  const expected = createSegmentEncoder(tokenizer).encode(prompt, chosen, 16);
  expect(group?.texts[0]).toEqual(expected.ids);
  expect(group?.secondAts?.[0]).toBe(expected.secondAt);
  expect(expected.secondAt).toBeLessThan(expected.ids.length);
});

test('a run learns which answers are better, and is exported with a head of one number', async () => {
  const { value } = await train('run', ['method=full', 'num_train_epochs=6', 'learning_rate=0.005', 'save_strategy=epoch']);
  expect(value.after?.loss).toBeLessThan(0.7 * lossOf(value.before));
  expect(value.after?.measures).toMatchObject({ accuracy: 1 });
  const outputDir = join(folder, 'merged');
  const exporting = { kind: 'export', adapter: join(folder, 'run'), format: 'merged', outputDir, overwrite: false, context } as const;
  const { value: exported } = await runInProcess(exporting);
  expect(exported.largestDifference).toBeLessThanOrEqual(exported.tolerance);
  const config = readRecord(join(outputDir, 'config.json'));
  expect(config.architectures).toEqual(['BertForSequenceClassification']);
  expect(isRecord(config.id2label) && Object.keys(config.id2label)).toHaveLength(1);
  const { value: again } = await runInProcess({ kind: 'evaluate', recipe: recipe('model=merged'), context });
  expect(again.loss).toBeCloseTo(lossOf(value.after), 5);
});

test('a resumed run has the losses of one that was not stopped, and the preview shows its samples', async () => {
  const settings = ['max_steps=3', 'learning_rate=5e-3', 'gradient_accumulation_steps=2'];
  await expectSameWhenStopped({ folder, context, train, name: 'resumed', settings, step: 1 });
  const { value } = await previewInProcess(recipe(), context, { count: 2 });
  expect(value.failure).toBeUndefined();
  expect(value.page.samples.map(({ sequences }) => sequences.length)).toEqual([2, 2]);
});
