/**
 * Tests that a run started by an older version is resumed with the settings' old meanings: decay of norms, grouped batches in file order, a
 * warm-up before a constant rate.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { asBegun } from '../../../trainer/handlers/train/resume-recipe.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { listCheckpoints } from '../../../trainer/run/checkpoint/checkpoint-folders.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;

const OLD = [
  'data.shuffle=false',
  'warmup_steps=3',
  'weight_decay=0.5',
  'method=full',
  'max_steps=6',
  'save_strategy="no"',
  'engine=portable',
];
const oldMeaning = [...OLD, 'group_by_length=true', 'decay_norms_and_biases=true', 'lr_scheduler_type=constant_with_warmup'];

/** Returns the recipe as older versions wrote it, without later settings. */
const asWrittenThen = (recipe: string): string =>
  recipe
    .split('\n')
    .filter(line => !/^(group_by_length|decay_norms_and_biases|lr_scheduler_kwargs|data_seed|label_smoothing_factor):/.test(line))
    .join('\n')
    .replace('lr_scheduler_type: constant_with_warmup', 'lr_scheduler_type: constant');

it('continues to the bit, and keeps its meaning in the checkpoints that follow', async () => {
  const recipe = task.recipe(...oldMeaning);
  const whole = await runInProcess({ kind: 'train', recipe, runDir: join(task.folder, 'whole'), context });
  const runDir = join(task.folder, 'parts');
  const first = await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(2));
  await makeOld(runDir);
  const second = await runInProcess({ kind: 'resume', runDir, overrides: [], context }, stopAfter(4));
  const third = await runInProcess({ kind: 'resume', runDir, overrides: [], context });
  expect([...first.losses, ...second.losses, ...third.losses]).toEqual([...whole.losses]);
  expect(readFileSync(join(runDir, 'recipe.yaml'), 'utf8')).toContain('decay_norms_and_biases: true');
  // The current meaning differs.
  const now = await runInProcess({
    kind: 'train',
    recipe: task.recipe(...OLD, 'lr_scheduler_type=constant_with_warmup'),
    runDir: join(task.folder, 'now'),
    context,
  });
  expect([...now.losses]).not.toEqual([...whole.losses]);
}, 120_000);

it('leaves a recipe alone that knew the settings', () => {
  const recipe = task.recipe(...OLD, 'lr_scheduler_type=constant');
  const begun = ['decay_norms_and_biases: false', 'group_by_length: false', 'lr_scheduler_kwargs: {}'].join('\n');
  expect(asBegun(recipe, { recipe: begun })).toEqual(recipe);
  const old = asWrittenThen(begun);
  expect(asBegun(recipe, { recipe: old })).toMatchObject({
    decay_norms_and_biases: true,
    group_by_length: true,
    lr_scheduler_type: 'constant_with_warmup',
  });
});

/** Converts a run; older versions wrote no checksums either. */
async function makeOld(runDir: string): Promise<void> {
  const file = join(runDir, 'recipe.yaml');
  writeFileSync(file, asWrittenThen(readFileSync(file, 'utf8')));
  expect(parseRecipe(readFileSync(file, 'utf8')).recipe).toMatchObject({ decay_norms_and_biases: false, group_by_length: false });
  for (const { folder } of await listCheckpoints(runDir)) {
    const stateFile = join(folder, 'trainer_state.json');
    const { batching, files, crc32, ...state } = readRecord(stateFile);
    writeFileSync(stateFile, JSON.stringify({ ...state, recipe: asWrittenThen(String(state.recipe)) }));
  }
}
