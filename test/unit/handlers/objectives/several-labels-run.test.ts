/**
 * Tests runs whose texts have any number of labels, and runs with label weights: they learn, resume bit for bit, and are exported in
 * Transformers' form.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { TrainResult } from '../../../../trainer/handlers/train/train-run.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { parseJson } from '../../../support/files/read-json.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf } from '../../../support/runs/evaluated.ts';
import { type InProcess, runInProcess } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';

/** Creates a text whose letters are its labels; x is rare. */
const sample = (n: number): string => {
  const labels = Object.entries({ a: 2, b: 3, x: 8 }).flatMap(([label, every]) => ((n + 1) % every === 0 ? [label] : []));
  return `${JSON.stringify({ text: `${labels.join('')}cd`, labels })}\n`;
};
const samples = (from: number, to: number): string => Array.from({ length: to - from }, (_, i) => sample(from + i)).join('');

const { folder, context, recipe, train } = makeEncoderTask(
  ['task=multi_label_classification', 'data.train=train.jsonl', 'data.eval=held.jsonl'],
  {
    'train.jsonl': samples(0, 24),
    'held.jsonl': samples(24, 34),
  },
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const logged = ({ events }: InProcess<unknown>): string =>
  events.flatMap(event => (event.type === 'log' ? [event.message] : [])).join('\n');
const warnings = ({ events }: InProcess<unknown>): string[] =>
  events.flatMap(event => (event.type === 'log' && event.level === 'warning' ? [event.message] : []));

describe('any number of labels', () => {
  let run: InProcess<TrainResult>;
  beforeAll(async () => {
    run = await train('run', ['num_train_epochs=24', 'learning_rate=0.02', 'save_strategy=epoch', 'class_weights=balanced']);
  });

  test('are learned, each by itself', () => {
    const { before, after } = run.value;
    expect(before?.loss).toBeCloseTo(Math.LN2, 1);
    expect(after?.loss).toBeLessThan(lossOf(before) / 2);
    expect(after?.measures?.f1).toBeGreaterThan(0.8);
    expect(Object.keys(after?.measures ?? {})).toEqual([
      'accuracy',
      'precision',
      'recall',
      'f1',
      'macro_f1',
      'best_threshold',
      'f1_at_best_threshold',
    ]);
    expect([after?.samples, after?.targets]).toEqual([10, 30]);
  });

  test('weigh as much where a text has them as where it has not', () => {
    // Of 24 texts, 12 have a, 8 have b and 3 have x.
    expect(logged(run)).toContain('class weights: a 1.00, b 2.00, x 7.00');
  });

  test('are in the config of an export, which is evaluated alike', async () => {
    const outputDir = join(folder, 'merged');
    await runInProcess({
      kind: 'export',
      adapter: join(folder, 'run'),
      format: 'merged',
      outputDir,
      overwrite: false,
      context,
    });
    const opened = await openModel(outputDir);
    await opened.weights.close();
    expect(opened.config).toMatchObject({ problem_type: 'multi_label_classification', id2label: { 0: 'a', 1: 'b', 2: 'x' } });
    const { value } = await runInProcess({ kind: 'evaluate', recipe: recipe('model=merged'), context });
    expect(value.loss).toBeCloseTo(lossOf(run.value.after), 5);
    expect(value.measures).toEqual(run.value.after?.measures);
  });
});

test('a run warns of labels that the recipe names and no sample has that is trained on', async () => {
  const held = `${JSON.stringify({ text: 'ab', labels: ['y'] })}\n`;
  writeFileSync(join(folder, 'y.jsonl'), held);
  const named = await train('named', ['max_steps=1', 'data.labels=[a, b, x, y, z]', 'data.eval=y.jsonl']);
  expect(warnings(named)).toContain(
    "no training sample has the label 'y', nor z, so the model only learns not to predict them: add such samples, or remove the names from data.labels",
  );
  const plain = await train('all seen', ['max_steps=1', 'data.labels=[a, b, x]']);
  expect(warnings(plain).filter(message => message.includes('no training sample'))).toEqual([]);
});

test('a column of 0 and 1 for each label, and a text of labels, are read alike', async () => {
  const rows = Array.from({ length: 12 }, (_, n) => parseJson(sample(n), z.object({ text: z.string(), labels: z.array(z.string()) })));
  const flag = (labels: string[], name: string): number => Number(labels.includes(name));
  writeFileSync(
    join(folder, 'flags.csv'),
    `text,a,b,x\n${rows.map(({ text, labels }) => [text, ...['a', 'b', 'x'].map(name => flag(labels, name))].join()).join('\n')}\n`,
  );
  writeFileSync(join(folder, 'cells.csv'), `text,labels\n${rows.map(({ text, labels }) => `${text},${labels.join('|')}`).join('\n')}\n`);
  const settings = ['max_steps=2', 'data.labels=[a, b, x]'];
  const flags = await train('flags', ['data.train=flags.csv', ...settings]);
  const cells = await train('cells', ['data.train=cells.csv', ...settings]);
  expect([...flags.losses]).toEqual([...cells.losses]);
});

test.each([
  ['several labels', ['gradient_accumulation_steps=2', 'class_weights=balanced']],
  ['one label', ['task=sequence_classification', 'data.train=one.jsonl', 'data.eval=[]', 'val_size=0.2', 'class_weights=balanced']],
])('%s with weights: a resumed run has the losses of one that was not stopped, to the bit', async (name, settings) => {
  writeFileSync(
    join(folder, 'one.jsonl'),
    Array.from({ length: 20 }, (_, n) => `${JSON.stringify({ text: n % 5 ? 'ab' : 'xy', label: n % 5 ? 'often' : 'rare' })}\n`).join(''),
  );
  const all = ['max_steps=3', 'learning_rate=5e-3', ...settings];
  const { whole } = await expectSameWhenStopped({ folder, context, train, name, settings: all, step: 1 });
  const plain = await train(
    `${name} plain`,
    all.filter(setting => !setting.startsWith('class_weights')),
  );
  expect(plain.losses.get(1)).not.toBe(whole.losses.get(1));
});

test.each([
  ['{"text":"a","labels":["a","a"]}', 'key "labels": the label "a" twice'],
  ['{"text":"a","labels":3}', 'key "labels": a number, expected a list of labels, or a text with | between them'],
  ['{"text":"a","labels":[1.5]}', 'key "labels": the number 1.5, expected a label'],
  ['{"text":"a","labels":[]}', 'no sample has a label'],
])('%s is refused', async (line, message) => {
  writeFileSync(join(folder, 'bad.jsonl'), `${line}\n`);
  await expect(train('bad', ['data.train=bad.jsonl', 'data.eval=[]', 'val_size=0'])).rejects.toThrow(message);
});
