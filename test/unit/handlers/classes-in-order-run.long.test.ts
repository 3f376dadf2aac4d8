/**
 * Tests classifiers over large data that start training before all texts are tokenized: the losses equal those of runs that tokenize up
 * front, stopped and resumed anywhere.
 */
import { rmSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';
import { makeEncoderTask } from '../../support/runs/encoder-task.ts';
import { type InProcess, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../support/runs/stopped-run.ts';

/** A column that is not read; 36 MB total. */
const note = 'n'.repeat(30_000);
const data = (more: object): string =>
  Array.from({ length: 1200 }, (_, i) => {
    const text = `${'ab xy cd'.slice(0, 2 + (i % 7))}`;
    return JSON.stringify({
      text,
      ...(i % 4 === 0 && { other: i }),
      text_pair: 'cd'.repeat(1 + (i % 3)),
      label: ['odd', 'even', 'third'][i % 3],
      number: i % 5,
      topics: ['odd', 'even', 'third'].filter((_, place) => (i + place) % 2 === 0),
      relevance: i % 2,
      ...more,
    });
  }).join('\n');

const {
  folder,
  context: shared,
  recipe,
} = makeEncoderTask(['data.train=large.jsonl'], { 'large.jsonl': data({ note }), 'small.jsonl': data({}) });
const context = { ...shared, cacheDir: makeTemporaryFolder() };
const train = trainRunsIn(folder, context, recipe);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const logOf = ({ events }: InProcess<unknown>): string => events.flatMap(event => (event.type === 'log' ? event.message : [])).join('\n');

const HELD = ['val_size=40', 'eval_strategy=steps', 'eval_steps=4'];
it.each([
  ['classes', ['task=sequence_classification', ...HELD]],
  ['weighed classes of drawn texts', ['task=sequence_classification', 'class_weights=balanced', 'data.max_samples=500', ...HELD]],
  ['several labels', ['task=multi_label_classification', 'data.columns={"label":"topics"}', 'class_weights=balanced', ...HELD]],
  [
    'queries with documents',
    ['task=reranker', 'data.columns={"label":"relevance"}', 'data.eval=small.jsonl', 'data.eval_max_samples=40', ...HELD.slice(1)],
  ],
  ['numbers', ['task=sequence_regression', 'data.columns={"label":"number"}', 'data.shuffle=false']],
])('a run of %s', async (name, settings) => {
  const all = ['max_steps=6', 'logging_steps=1', 'group_by_length=false', ...settings];
  const { whole, rest } = await expectSameWhenStopped({ folder, context, train, name, settings: all, step: 3 });
  for (const run of [whole, rest]) expect(logOf(run)).toContain('Samples are tokenized when training needs them.');
  // The texts are the same, and all batches have one shape.
  const small = await train(`${name} small`, [...all, 'data.train=small.jsonl']);
  expect(logOf(small)).not.toContain('Samples are tokenized when training needs them.');
  expect(small.losses).toEqual(whole.losses);
  expect(small.value.after?.measures).toEqual(whole.value.after?.measures);
});

it('a run in batches of similar length is resumed to the bit', async () => {
  const settings = ['task=sequence_classification', 'max_steps=6', 'logging_steps=1', 'max_length=32'];
  const { whole } = await expectSameWhenStopped({ folder, context, train, name: 'grouped', settings, step: 2 });
  expect(logOf(whole)).toContain('Samples are tokenized when training needs them.');
});
