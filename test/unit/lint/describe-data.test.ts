/** Tests the description of a data file in a list: size, layout and first sample, or the problem. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { dataFacts } from '../../../client/recipe/data-facts.ts';
import { describeData } from '../../../trainer/lint/facts/describe-data.ts';
import { describeDataFiles } from '../../../trainer/rpc/data-files.ts';
import { readHere } from '../../support/daemon/reader.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const folder = makeTemporaryFolder();
function write(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
const json = (value: object): string => `${JSON.stringify(value)}\n`;

test.each([
  ['a.jsonl', json({ instruction: 'Add', input: '', output: '3' }), 'instructions with answers', 'Add → 3'],
  ['b.jsonl', json({ messages: [{ role: 'user', content: 'a' }] }), 'chats', 'a'],
  ['c.jsonl', json({ prompt: 'a', chosen: 'b', rejected: 'c' }), 'pairs of answers', 'a → b → c'],
  ['d.csv', 'text,label\nlunch,ham\n', 'texts with a label', 'lunch → ham'],
  ['e.jsonl', json({ tokens: ['Ada', 'sleeps'], tags: ['B-PER', 'O'] }), 'words with labels', 'Ada sleeps → B-PER O'],
  ['f.conll', 'Ada B-PER\nsleeps O\n\n', 'words with labels', 'Ada sleeps → B-PER O'],
  ['g.jsonl', json({ anchor: 'a', positive: 'b' }), 'texts that belong together', 'a → b'],
  ['h.jsonl', json({ sentence1: 'a', sentence2: 'b', score: 1 }), 'texts with a similarity', 'a → b → 1'],
  ['faq.csv', 'Question,Answer\nWhy?,So.\n', 'questions with answers', 'Why? → So.'],
  ['i.jsonl', json({ body: 'a\n b', y: 1 }), 'columns body, y', 'a b → 1'],
])('%s', async (name, text, format, sample) => {
  expect(await describeData(write(name, text))).toEqual({ bytes: Buffer.byteLength(text), format, sample });
});

test('a long sample is cut, and a file that cannot be used says why', async () => {
  expect((await describeData(write('long.jsonl', json({ text: 'x'.repeat(1000) })))).sample).toMatch(/^x{299}…$/);
  expect((await describeData(write('none.jsonl', ''))).problem).toBeTruthy();
  expect((await describeData(write('bad.jsonl', '{"a"\n'))).problem).toMatch(/JSON/);
});

test('each file of a list gets its own answer, and a missing one does not stop the others', async () => {
  const good = write('good.jsonl', json({ text: 'a' }));
  const [gone, found] = await describeDataFiles([path.join(folder, 'gone.jsonl'), good], readHere);
  expect(gone?.problem).toMatch(/ENOENT|no such file/);
  expect(found).toEqual({ bytes: 13, format: 'plain texts', sample: 'a' });
});

test('the facts next to a name', () => {
  expect(dataFacts({ bytes: 12_300_000, format: 'chats', sample: 'a' })).toEqual({ description: '12.3 MB · chats', detail: 'a' });
  expect(dataFacts({ bytes: 1000, problem: 'no JSON' })).toEqual({
    description: expect.stringContaining('cannot be read'),
    detail: 'no JSON',
  });
  expect([dataFacts({}), dataFacts(undefined)]).toEqual([{}, {}]);
});
