/** Tests the quick fix for plain prompts: afterwards, the samples are chats, and nothing else of the recipe has changed. */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { applyChange } from '../../support/apply-change.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function fixesOf(text: string, name: string) {
  const view = await viewOf(text, { folder, name });
  return quickFixes(
    { text, file: view.file, view },
    problemsOf(view).filter(({ code }) => code === 'plain-prompts'),
  );
}

const head = 'model: models/chatty # small\nr: 8\nmax_length: 32\n';
const columns = '  columns:\n    instruction: prompt\n    output: completion\n';

describe.each([
  [
    'without a format',
    'a.rowtune.yaml',
    `${head}data:\n  train: prompts.csv # all\n`,
    `${head}data:\n  train: prompts.csv # all\n${columns}`,
  ],
  [
    'with a format',
    'a.rowtune.yaml',
    `${head}data:\n  format: prompt_completion\n  train: prompts.csv # all\n`,
    `${head}data:\n  train: prompts.csv # all\n${columns}`,
  ],
  [
    'with columns',
    'a.rowtune.yaml',
    `${head}data:\n  train: prompts.csv\n  columns: {prompt: prompt, completion: completion}\n`,
    `${head}data:\n  train: prompts.csv\n  columns: {instruction: prompt, output: completion}\n`,
  ],
  [
    'with columns that are empty',
    'a.rowtune.yaml',
    `${head}data:\n  train: prompts.csv\n  columns:\n`,
    `${head}data:\n  train: prompts.csv\n${columns}`,
  ],
  [
    'with columns that have an anchor',
    'a.rowtune.yaml',
    `${head}data:\n  train: prompts.csv\n  columns: &names {prompt: prompt}\n`,
    `${head}data:\n  train: prompts.csv\n  columns: &names {instruction: prompt, output: completion}\n`,
  ],
  [
    'in JSON',
    'a.rowtune.json',
    '{"model": "models/chatty", "r": 8, "max_length": 32, "data": {"train": "prompts.csv"}}',
    JSON.stringify(
      {
        model: 'models/chatty',
        r: 8,
        max_length: 32,
        data: { train: 'prompts.csv', columns: { instruction: 'prompt', output: 'completion' } },
      },
      undefined,
      2,
    ),
  ],
])('%s', (_, name, before, after) => {
  it('names the columns of a chat', async () => {
    const [fix] = await fixesOf(before, name);
    expect(fix).toMatchObject({ title: 'Train them as chats: columns: {instruction: prompt, output: completion}', preferred: true });
    if (fix === undefined) throw new Error('there is no fix');
    expect(applyChange(before, fix.change)).toBe(after);
  });

  it('leaves no such problem', async () => expect(await fixesOf(after, name)).toEqual([]));
});

it('is not offered where the columns are written elsewhere', async () => {
  const text = `name: &data {train: prompts.csv}\n${head}data: *data\n`;
  const titles = (await fixesOf(text, 'a.rowtune.yaml')).map(({ title }) => title);
  expect(titles).toEqual(["Ignore 'plain-prompts' here, with a reason"]);
});
