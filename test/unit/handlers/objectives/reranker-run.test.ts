/** Tests runs of a reranker: it learns to sort documents, holds out whole queries, and is exported as a folder that CrossEncoder opens. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readRecord } from '../../../support/files/read-json.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf } from '../../../support/runs/evaluated.ts';
import { runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';

/** Creates a sample; a document that answers the query repeats it. */
const sample = (query: number, document: number): string => {
  const word = (n: number) => 'abcdefgh'[n % 8] ?? 'a';
  const text = document === 0 ? `${word(query)} ${word(query)}` : `${word(query + document)} x`;
  return `${JSON.stringify({ query: `${word(query)} ${'yz'[query % 2]}`, document: text, label: document === 0 ? 1 : 0 })}\n`;
};
const samples = (from: number, to: number): string =>
  Array.from({ length: 4 * (to - from) }, (_, i) => sample(from + Math.floor(i / 4), i % 4)).join('');
const task = makeEncoderTask(['task=reranker', 'data.train=train.jsonl', 'method=full', 'learning_rate=0.003'], {
  'train.jsonl': samples(0, 8),
  'held.jsonl': samples(8, 12),
  'bad.jsonl': '{"query":"a","document":"b","label":1}\n{"query":"a","document":"b","label":3}\n',
  'alone.jsonl': '{"text":"a","label":1}\n',
});
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

test('a run learns to sort documents, is evaluated as during training, and exported with one output', async () => {
  const { value } = await task.train('run', ['data.eval=held.jsonl', 'eval_strategy=epoch', 'num_train_epochs=6', 'save_strategy=epoch']);
  expect(value.before?.loss).toBeCloseTo(Math.LN2, 0);
  expect(value.after?.loss).toBeLessThan(lossOf(value.before));
  const { ndcg_at_10: ndcg = 0, mrr_at_10: mrr = 0, map = 0, recall_at_1: recall } = value.after?.measures ?? {};
  expect(recall).toBeDefined();
  for (const measure of [ndcg, mrr, map]) expect(measure).toBeGreaterThan(0);
  const { value: again } = await runInProcess({
    kind: 'evaluate',
    recipe: task.recipe('data.eval=held.jsonl'),
    adapter: join(task.folder, 'run'),
    context: task.context,
  });
  expect(again.loss).toBeCloseTo(lossOf(value.after), 5);
  expect(again.measures?.ndcg_at_10).toBeCloseTo(ndcg, 6);
  const outputDir = join(task.folder, 'merged');
  const adapter = join(task.folder, 'run');
  await runInProcess({ kind: 'export', adapter, format: 'merged', outputDir, overwrite: false, context: task.context });
  const config = readRecord(join(outputDir, 'config.json'));
  expect(config).toMatchObject({ architectures: ['BertForSequenceClassification'], id2label: { 0: 'LABEL_0' } });
});

test('whole queries are held out', async () => {
  const { value, events } = await task.train('split', ['val_size=0.25', 'max_steps=1', 'eval_strategy=epoch']);
  expect(value.before?.samples).toBe(8);
  expect(events).toContainEqual(
    expect.objectContaining({ message: expect.stringMatching(/^8 samples are held out for evaluation, 24 are trained on/) }),
  );
});

test('a resumed run has the losses of one that was not stopped', async () => {
  const settings = ['max_steps=6', 'data.eval=held.jsonl'];
  await expectSameWhenStopped({ ...task, name: 'stopped', settings, step: 3 });
});

test('labels beyond 1 and samples without a document are refused', async () => {
  await expect(task.train('bad', ['data.train=bad.jsonl', 'max_steps=1'])).rejects.toThrow(
    /the number 3, expected 0 \(not relevant\) to 1/,
  );
  await expect(task.train('alone', ['data.train=alone.jsonl', 'max_steps=1'])).rejects.toThrow(/no document for the query/);
});
