/** Tests answers.jsonl after a resume: the output of later evaluations is removed, whatever the size of the file. */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { recordIn } from '../../../trainer/narrow.ts';
import { tailFile } from '../../../trainer/rpc/tail-file.ts';
import { appendAnswers, rewindAnswers } from '../../../trainer/run/answers-file.ts';
import { makeTemporaryFolder, removeTemporaryFolders } from '../../support/machine/temporary-folder.ts';

afterAll(removeTemporaryFolders);

test('whoever follows the answers begins anew after answers were removed, even if as many came since', async () => {
  const folder = makeTemporaryFolder();
  const answer = { prompt: 'a', reference: '', answer: 'first', scores: {} };
  for (const step of [1, 2, 3]) await appendAnswers(folder, step, [answer]);
  const { next, version } = await tailFile(folder, 'answers.jsonl', 0);
  await rewindAnswers(folder, 1);
  for (const step of [2, 3, 4]) await appendAnswers(folder, step, [{ ...answer, answer: 'second' }]);
  expect(await tailFile(folder, 'answers.jsonl', next, version)).toMatchObject({ lines: [], rewound: true });
  expect((await tailFile(folder, 'answers.jsonl', 0)).lines.map(line => recordIn(line)?.answer)).toEqual([
    'first',
    'second',
    'second',
    'second',
  ]);
});

test('answers up to a step are kept, and a line that was not finished is cut off', async () => {
  const folder = makeTemporaryFolder();
  const file = join(folder, 'answers.jsonl');
  const read = (): string => readFileSync(file, 'utf8');
  await rewindAnswers(folder, 1);
  // Longer than what is read at a time, with characters of several bytes.
  const answer = { prompt: 'é\n{"step":99}'.repeat(60_000), reference: '', answer: '', scores: {} };
  const kept: string[] = [];
  for (const step of [0, 2, 10, 20]) {
    await appendAnswers(folder, step, [answer, answer]);
    kept.push(read());
  }
  appendFileSync(file, '{"step":20,"prom');
  await rewindAnswers(folder, 20);
  expect(read() === kept[3]).toBe(true);
  await rewindAnswers(folder, 19);
  expect(read() === kept[2]).toBe(true);
  appendFileSync(file, 'no answer\n');
  await rewindAnswers(folder, 2);
  expect(read() === kept[1]).toBe(true);
  await rewindAnswers(folder, -1);
  expect(read()).toBe('');
});
