/** A tokenizer of another model, whose ids have no row in the embedding, is named with the text, whatever the task. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readRecord } from '../../support/files/read-json.ts';
import { makeEncoderTask } from '../../support/runs/encoder-task.ts';

const tokenizer = readRecord(join(import.meta.dirname, '..', '..', 'golden', 'tiny-tokenizer', 'tokenizer.json'));
const zebra = { id: 128, content: 'zebra', single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
const added = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
const jsonl = (...lines: readonly object[]): string => lines.map(line => JSON.stringify(line)).join('\n');
const { folder, train } = makeEncoderTask(['max_steps=1'], {
  'model/tokenizer.json': JSON.stringify({ ...tokenizer, added_tokens: [...added, zebra] }),
  'texts.jsonl': jsonl({ text: 'ab', label: 'x' }, { text: 'zebra', label: 'y' }),
  'words.jsonl': jsonl({ words: ['ab'], tags: ['x'] }, { words: ['zebra'], tags: ['y'] }),
  'pairs.jsonl': jsonl({ anchor: 'ab', positive: 'ab' }, { anchor: 'ab', positive: 'zebra' }),
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['sequence_classification', 'texts.jsonl'],
  ['token_classification', 'words.jsonl'],
  ['embedding', 'pairs.jsonl'],
])('%s', async (task, file) => {
  await expect(train(task, [`task=${task}`, `data.train=${file}`])).rejects.toThrow(
    new RegExp(`${file}:2: the tokenizer gives token 128, but the model knows only 0 to 127`),
  );
});
