/**
 * Tests that chats are checked with the model's template while the user types: dropped or rejected parts are named, and a slow template
 * ends no process.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { chatPieces } from '../../../../trainer/data/chat/format-chat.ts';
import { DataError } from '../../../../trainer/data/data-error.ts';
import type { ChatRenderer } from '../../../../trainer/data/types.ts';
import { forSomeTime, isGivenUp, templateFact } from '../../../../trainer/lint/facts/template-fact.ts';
import { lint, makeWorkspace } from '../check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const golden = path.join(import.meta.dirname, '..', '..', '..', 'golden');

const messagesOf = async (model: string, data: string): Promise<string[]> => {
  const found = await lint(`model: models/${model}\nr: 8\nmax_length: 32\ndata: {train: ${data}}\n`, { folder });
  return found.map(({ code, message }) => `${code}: ${message}`);
};

test('tools that the template would drop, and turns that it refuses, are named with their lines', async () => {
  expect(await messagesOf('chatty', 'tools.jsonl')).toEqual([
    `bad-sample: line 1: key "tools": the model's chat template does not use this field, so it would be lost. Take a model whose template reads tools, or remove the field from the data`,
  ]);
  expect(await messagesOf('chatty', 'system.jsonl')).toEqual([
    expect.stringMatching(
      /^bad-sample: line 1: the chat template refuses these \d messages \(.*\): System role not supported\. Write the turns as .*\. Lines 2–3 have the same problem\.$/,
    ),
  ]);
});

test('a template with tools takes them, wherever it stands', async () => {
  const reads =
    '{{ tools }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';
  const file = path.join(folder, 'models/with-tools');
  cpSync(path.join(golden, 'llama'), file, { recursive: true });
  writeFileSync(path.join(file, 'tokenizer_config.json'), JSON.stringify({ chat_template: reads }));
  cpSync(path.join(folder, 'models/tiny/tokenizer.json'), path.join(file, 'tokenizer.json'));
  expect(await messagesOf('with-tools', 'tools.jsonl')).toEqual([]);
});

test('the template of a GGUF file is read', async () => {
  const found = await templateFact(path.join(golden, 'gguf', 'tiny-llama.gguf'));
  expect(found?.renderer()?.mentions('messages')).toBe(true);
  const dir = mkdtempSync(path.join(tmpdir(), 'rowtune-template-'));
  try {
    expect(await templateFact(path.join(dir, 'nothing'))).toBeUndefined();
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a template that has used up its time only says which fields it reads', () => {
  let rendered = 0;
  const slow: ChatRenderer = {
    marksGeneration: true,
    mentions: field => field === 'tools',
    render: () => {
      rendered++;
      const begun = process.cpuUsage();
      while (process.cpuUsage(begun).user < 2000);
      return { text: 'slow', generated: [] };
    },
  };
  const next = forSomeTime(slow, 1);
  const chat = { messages: [{ role: 'user', content: 'Hi' }] };
  const options = { addGenerationPrompt: false };
  expect(next().render(chat, options).text).toBe('slow');
  const after = next();
  expect([after.render(chat, options).text, after.marksGeneration, rendered]).toEqual(['user Hi\n', false, 1]);
  expect([after.mentions('tools'), after.mentions('documents')]).toEqual([true, false]);
});

test('a chat whose many turns take too long is given up, and is no problem of its sample', () => {
  const slow: ChatRenderer = {
    marksGeneration: false,
    mentions: () => true,
    render: ({ messages }) => {
      const begun = process.cpuUsage();
      while (process.cpuUsage(begun).user < 2000);
      return { text: messages.map(({ content }) => content).join(''), generated: [] };
    },
  };
  const messages = Array.from({ length: 50 }, (_, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: `turn ${i}` }));
  const settings = { place: { file: 'a.jsonl', line: 1 }, renderer: forSomeTime(slow, 1)(), trainedTurns: 'all' } as const;
  let found: unknown;
  try {
    chatPieces({ messages }, settings);
  } catch (error) {
    found = error;
  }
  expect(found).toBeInstanceOf(DataError);
  expect(found instanceof DataError && isGivenUp(found)).toBe(true);
  expect(isGivenUp(new DataError({ problem: 'another', advice: 'none' }))).toBe(false);
});
