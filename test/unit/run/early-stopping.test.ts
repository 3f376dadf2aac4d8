/** Tests that a run stops when evaluations no longer improve, at the same update whether or not it was interrupted. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const every = ['engine=portable', 'max_steps=8', 'eval_strategy=steps', 'eval_steps=1', 'save_strategy=steps', 'save_steps=1'];
/** No evaluation improves by this much, so after the first, none counts as better. */
const hopeless = [...every, 'early_stopping_patience=3', 'early_stopping_threshold=1000', 'load_best_model_at_end=true'];
const train = (runDir: string, settings: readonly string[]) =>
  ({ kind: 'train', recipe: task.recipe(...settings), runDir: join(task.folder, runDir), context }) as const;

it('stops after the first evaluation and three that are no better, and says so in the summary', async () => {
  const { value, events } = await runInProcess(train('whole', hopeless));
  expect(value).toMatchObject({ state: 'finished', steps: 4, totalSteps: 8, stoppedEarly: true });
  expect(JSON.stringify(events)).toContain('stopped early after update 4');
});

it('an interrupted run stops at the same update', async () => {
  const request = train('parts', hopeless);
  await runInProcess(request, stopAfter(2));
  const { value } = await runInProcess({ kind: 'resume', runDir: request.runDir, overrides: [], context });
  expect(value).toMatchObject({ state: 'finished', steps: 4, stoppedEarly: true });
  const more = await runInProcess({
    kind: 'resume',
    runDir: request.runDir,
    overrides: ['early_stopping_patience=5'],
    context,
  });
  expect(more.value).toMatchObject({ state: 'finished', steps: 6, stoppedEarly: true });
});

it('a run that gets better goes to its end', async () => {
  const { value } = await runInProcess(train('better', [...every, 'early_stopping_patience=8']));
  expect(value).toMatchObject({ state: 'finished', steps: 8, stoppedEarly: false });
});
