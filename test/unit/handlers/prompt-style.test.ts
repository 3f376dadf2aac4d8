/** Tests that a tuned classifier's prompts are written as in its training, whatever else the model would do with them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promptStyleOf } from '../../../trainer/handlers/inference/prompt-style.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const runDir = join(task.folder, 'runs', 'spam');
const { context } = task;
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
beforeAll(async () => {
  const recipe = task.recipe('engine=portable', 'num_train_epochs=30', 'method=full', 'learning_rate=0.003', 'save_strategy="no"');
  await runInProcess({ kind: 'train', recipe, runDir, context });
});

const options = { engine: 'portable', chat: true, maxNewTokens: 8, temperature: 0, topP: 1, topK: 0, seed: 0 } as const;
const answer = async (prompt: string, change: { readonly promptOf?: string; readonly adapter?: string } = {}) =>
  (
    await runInProcess({
      kind: 'generate',
      model: 'model',
      revision: 'main',
      adapter: runDir,
      prompt,
      options,
      context,
      ...change,
    })
  ).value;

describe('a run of labeled texts', () => {
  test('is asked in the words of its recipe, and says so', async () => {
    for (const [prompt, label] of [
      ['lunch at 30', 'ham'],
      ['WIN $$$ now !!!', 'spam'],
    ] as const) {
      const found = await answer(prompt, { promptOf: runDir });
      expect(found.text.trim()).toBe(label);
      expect(found).toMatchObject({ asTrained: true, finishReason: 'end' });
    }
    expect((await answer('lunch at 30')).asTrained).toBe(false);
  });

  test('its base is asked in the same words', async () => {
    expect(await answer('lunch at 30', { promptOf: runDir, adapter: undefined })).toMatchObject({ asTrained: true });
  });

  test('its style comes from its data, and from what it keeps where the data is gone', async () => {
    const style = { format: 'text_label', template: '{text}:', labels: ['ham', 'spam'] };
    expect(await promptStyleOf(runDir)).toEqual(style);
    rmSync(join(task.folder, 'train.jsonl'));
    expect(await promptStyleOf(runDir)).toEqual(style);
  });
});

test('a folder that is no run has no style of its own', async () => {
  expect(await promptStyleOf(task.folder)).toBeUndefined();
});
