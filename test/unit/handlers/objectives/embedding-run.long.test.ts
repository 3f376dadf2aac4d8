/** Runs that train embeddings of texts: they learn, resume to the bit with every loss, and are exported for sentence-transformers. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ExportResult } from '../../../../trainer/artifact/export-model.ts';
import { methodNames } from '../../../../trainer/catalog/methods.ts';
import type { GenerateResult } from '../../../../trainer/handlers/generate-result.ts';
import type { TrainResult } from '../../../../trainer/handlers/train/train-run.ts';
import { elementAt } from '../../../../trainer/narrow.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf, measureOf } from '../../../support/runs/evaluated.ts';
import { type InProcess, runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';

/** Words without common letters, so that the pairs must be learned. */
const LETTERS = ['abc', 'def', 'ghi', 'jkl', 'mno', 'pqr', 'stu', 'vwx'];
const lines = (records: readonly object[]): string => records.map(record => `${JSON.stringify(record)}\n`).join('');
const word = (i: number): string => elementAt(LETTERS, i % LETTERS.length);
const triplet = (i: number) => {
  const n = Math.floor(i / LETTERS.length);
  return { anchor: `${word(i)} ${n}`, positive: `${word(i + 3)} ${n}`, negative: `${word(i + 4)} ${n}` };
};
const records = (count: number) => Array.from({ length: count }, (_, i) => triplet(i));
const scored = records(16).flatMap(({ anchor, positive, negative }) => [
  { sentence1: anchor, sentence2: positive, score: 4.5 },
  { sentence1: anchor, sentence2: negative, score: 0.5 },
]);

const { folder, context, recipe, train } = makeEncoderTask(
  ['task=embedding', 'data.train=train.jsonl', 'data.eval=held.jsonl', 'per_device_eval_batch_size=8'],
  { 'train.jsonl': lines(records(32)), 'held.jsonl': lines(records(16)), 'scored.jsonl': lines(scored) },
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const logged = ({ events }: InProcess<unknown>): string =>
  events.flatMap(event => (event.type === 'log' ? [event.message] : [])).join('\n');
const exportOf = (run: string, outputDir: string, format: ExportResult['format'] = 'merged') =>
  runInProcess({ kind: 'export', adapter: join(folder, run), format, outputDir, overwrite: false, context });

describe('pairs', () => {
  let run: InProcess<TrainResult>;
  beforeAll(async () => {
    run = await train('run', ['method=full', 'num_train_epochs=10', 'learning_rate=0.005', 'save_strategy=epoch', 'embedding.negatives=1']);
  });

  test('are learned: each anchor finds its positive among all', () => {
    const { before, after } = run.value;
    expect(after?.loss).toBeLessThan(0.8 * lossOf(before));
    expect(after?.measures?.ndcg_at_10).toBeGreaterThan(measureOf(before, 'ndcg_at_10'));
    expect(after?.measures?.accuracy).toBeGreaterThan(measureOf(before, 'accuracy'));
    expect(Object.keys(after?.measures ?? {}).sort()).toEqual([
      'accuracy',
      'mrr_at_10',
      'ndcg_at_10',
      'recall_at_1',
      'recall_at_10',
      'recall_at_5',
    ]);
    expect([after?.samples, after?.targets]).toEqual([16, 16]);
  });

  test('are described with their vectors', () => {
    expect(logged(run)).toContain('format text groups: "anchor" with "positive" against "negative"');
    expect(logged(run)).toContain('vectors: the mean of the states of all tokens, brought to length 1');
  });

  test('show what of the held-out texts is nearest to a text, tuned and before', async () => {
    const options = { engine: 'portable', chat: true, maxNewTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const { anchor: prompt, positive } = triplet(2);
    const request = {
      kind: 'generate',
      model: 'model',
      revision: 'main',
      promptOf: join(folder, 'run'),
      prompt,
      options,
      context,
    } as const;
    const { value: tuned } = await runInProcess({ ...request, adapter: join(folder, 'run') });
    const { value: base } = await runInProcess(request);
    const texts = records(16).flatMap(each => Object.values(each));
    for (const { nearest = [] } of [tuned, base]) {
      expect(nearest).toHaveLength(10);
      expect(texts).toEqual(expect.arrayContaining(nearest.map(({ text }) => text)));
      expect(nearest.map(({ text }) => text)).not.toContain(prompt);
      const similarities = nearest.map(({ similarity }) => similarity);
      expect(similarities).toEqual(similarities.toSorted((a, b) => b - a));
    }
    const similarityOf = ({ nearest = [] }: GenerateResult): number => nearest.find(({ text }) => text === positive)?.similarity ?? -1;
    expect(similarityOf(tuned)).toBeGreaterThan(similarityOf(base));
    expect(tuned.text.split('\n')).toHaveLength(10);
  });

  test('leave a folder of sentence-transformers, which is evaluated alike', async () => {
    const outputDir = join(folder, 'merged');
    const { value: exported } = await exportOf('run', outputDir);
    expect(exported.files).toEqual(
      expect.arrayContaining(['modules.json', '1_Pooling/config.json', '2_Normalize/README.md', 'sentence_bert_config.json']),
    );
    expect(readRecord(join(outputDir, '1_Pooling', 'config.json'))).toMatchObject({
      word_embedding_dimension: 32,
      pooling_mode_mean_tokens: true,
    });
    expect(readFileSync(join(outputDir, 'config.json'), 'utf8')).toBe(readFileSync(join(folder, 'model', 'config.json'), 'utf8'));
    const { value } = await runInProcess({
      kind: 'evaluate',
      recipe: recipe('model=merged', 'embedding.negatives=1'),
      context,
    });
    expect(value.loss).toBeCloseTo(lossOf(run.value.after), 5);
    expect(value.measures).toEqual(run.value.after?.measures);
    // An export replaces its own files, including those in folders.
    const again = await runInProcess({
      kind: 'export',
      adapter: join(folder, 'run'),
      format: 'merged',
      outputDir,
      overwrite: true,
      context,
    });
    expect(again.value.files).toEqual(exported.files);
  });

  test('pooling of a folder is taken over, unless the recipe has another', async () => {
    const outputDir = join(folder, 'cls');
    await train('by-cls', ['max_steps=1', 'save_strategy=epoch', 'embedding.pooling=cls', 'embedding.normalize=false']);
    await exportOf('by-cls', outputDir);
    expect(existsSync(join(outputDir, '2_Normalize'))).toBe(false);
    expect(logged(await train('own', ['model=cls', 'max_steps=1']))).toContain('vectors: the state of the first token\n');
    expect(logged(await train('max', ['model=cls', 'max_steps=1', 'embedding.pooling=max']))).toContain('largest value of each feature');
  });
});

test.each([
  ['multiple_negatives', ['gradient_accumulation_steps=2']],
  [
    'mini-batches',
    ['embedding.mini_batch_size=3', 'embedding.negatives=1', 'embedding.loss_type=symmetric', 'gradient_accumulation_steps=2'],
  ],
  ['triplet', ['embedding.loss_type=triplet', 'embedding.matryoshka_dims=[32, 8]']],
  ['cosine', ['embedding.loss_type=cosine', 'embedding.max_score=5', 'data.train=scored.jsonl', 'data.eval=scored.jsonl']],
])('%s: a resumed run has the losses of one that was not stopped, to the bit', async (name, settings) => {
  const all = ['max_steps=3', 'learning_rate=5e-3', ...settings];
  const { whole } = await expectSameWhenStopped({ folder, context, train, name, settings: all, step: 1 });
  if (name === 'cosine') expect(Object.keys(whole.value.after?.measures ?? {})).toEqual(['pearson', 'spearman']);
});

test.each(methodNames.filter(name => name !== 'head'))('%s trains vectors, and its export computes them', async method => {
  const run = await train(`by ${method}`, ['max_steps=1', 'data.eval=[]', 'save_strategy=epoch', `method=${method}`]);
  expect([...run.losses.values()].every(Number.isFinite)).toBe(true);
  const { value } = await exportOf(`by ${method}`, join(folder, `of ${method}`));
  expect(value.largestDifference).toBeLessThanOrEqual(value.tolerance);
});

test.each([
  [{ anchor: 'a', positive: '' }, [], 'key "positive": empty text'],
  [{ anchor: 'a', positive: 'b' }, ['embedding.negatives=1'], 'key "negative": 0 hard negatives, expected 1'],
  [{ anchor: 'a', positive: 'b', negative: 'b' }, ['embedding.negatives=1'], 'key "negative": the same text as the positive'],
  [{ sentence1: 'a', sentence2: 'b', label: 0 }, [], 'key "label": a score, but the loss takes every pair for texts that belong together'],
  [{ sentence1: 'a', sentence2: 'b', score: 4 }, ['embedding.loss_type=cosine'], 'key "score": the score 4, expected at most 1'],
  [{ sentence1: 'a', sentence2: 'b', score: 'x' }, ['embedding.loss_type=cosine'], 'key "score": a string, expected a number'],
  [{ sentence1: 'a', sentence2: 'b' }, ['embedding.loss_type=cosine'], 'key "score": nothing, expected a number'],
  [{ text: 'a' }, [], 'name no two texts, expected anchor and positive'],
  [{ anchor: 'a', positive: 'b' }, ['embedding.matryoshka_dims=[64]'], 'but the vectors of the model have 32 numbers'],
])('%j is refused', async (record, settings, message) => {
  writeFileSync(join(folder, 'bad.jsonl'), lines([record, record]));
  await expect(train('bad', ['data.train=bad.jsonl', 'data.eval=[]', 'val_size=0', ...settings])).rejects.toThrow(message);
});
