/** Tokens that stand for images and sounds of a model of which only the text part is loaded are refused, wherever texts come in. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openDecoder } from '../../../trainer/generate/decoder.ts';
import { generateText } from '../../../trainer/generate/generate-text.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel, loadModel } from '../../../trainer/model/load-model.ts';
import { readGolden } from '../../../trainer/verify/golden.ts';
import { verifyProgram } from '../../../trainer/verify/verify-model.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';
import { trainRunsIn } from '../../support/runs/run-in-process.ts';

const GOLDEN = join(import.meta.dirname, '..', '..', 'golden');
const [TEXT_TOKENS, ROWS] = [320, 324];
const MARKS = ['<end_of_image>', '<image_soft_token>', '<end_of_audio>', '<audio_soft_token>'];
const TEMPLATE =
  "{% for message in messages %}{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% else %}<{{ part.type }}_soft_token>{% endif %}{% endfor %}{% endif %}{% endfor %}";

let engine: Engine;
let folder = '';
let model = '';
beforeAll(async () => {
  engine = await openFast();
  folder = await temporaryFolder();
  model = join(folder, 'model');
  cpSync(await tinyDecoder({ like: 'gemma3n_text', rows: ROWS }), model, { recursive: true });
  const towers = { vision_config: { vocab_offset: TEXT_TOKENS }, audio_config: { vocab_offset: TEXT_TOKENS + 2 } };
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...readRecord(join(model, 'config.json')), ...towers }));
  const { added_tokens: added, ...tokenizer } = readRecord(join(model, 'tokenizer.json'));
  const marks = MARKS.map((content, i) => ({
    ...{ id: TEXT_TOKENS + i, content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  }));
  writeFileSync(
    join(model, 'tokenizer.json'),
    JSON.stringify({ ...tokenizer, added_tokens: [...(Array.isArray(added) ? added : []), ...marks] }),
  );
  writeFileSync(join(model, 'chat_template.jinja'), TEMPLATE);
});

const REFUSED = 'stands for an image or a sound, and only the text part of this model is loaded, which reads the tokens 0 to 319';

test('the first such token is known from the config', () => {
  const read = (changes: object) => loadModel({ ...readRecord(join(GOLDEN, 'gemma3n_text', 'config.json')), ...changes });
  expect(read({})).toMatchObject({ textTokens: 262144 });
  expect(read({ vision_config: { vocab_offset: 60 }, audio_config: { vocab_offset: 62 } })).toMatchObject({ textTokens: 60 });
  // Without images, sounds take everything from their first token on.
  expect(read({ vision_config: { vocab_offset: 62 }, audio_config: { vocab_offset: 60 } })).toMatchObject({ textTokens: 60 });
  const config = { ...readRecord(join(GOLDEN, 'gemma3n_text', 'config.json')), vision_config: { vocab_offset: 60 } };
  expect(loadModel(config, { problem: 'embedding' })).toMatchObject({ input: { textTokens: 60 } });
  // The decoder by itself reads every token.
  expect(loadModel(readRecord(join(GOLDEN, 'gemma3n', 'config.json')))).not.toHaveProperty('textTokens');
});

const user = (content: unknown) => ({ role: 'user', content });
const answer = { role: 'assistant', content: 'land' };
test.each<[string, string, object]>([
  ['a text', 'causal_lm', { text: 'see <image_soft_token>' }],
  ['a prompt', 'causal_lm', { prompt: 'hear <audio_soft_token>', completion: 'land' }],
  ['a mark in a chat', 'causal_lm', { messages: [user('<image_soft_token> what?'), answer] }],
  ['an image in a chat', 'causal_lm', { messages: [user([{ type: 'image' }, { type: 'text', text: 'what?' }]), answer] }],
  ['a sound in a chat', 'causal_lm', { messages: [user([{ type: 'audio' }, { type: 'text', text: 'what?' }]), answer] }],
  ['a rejected answer', 'dpo', { prompt: 'what?', chosen: 'land', rejected: '<end_of_image>' }],
  ['a text that is compared', 'embedding', { anchor: 'land', positive: '<image_soft_token>' }],
])('%s for %s', async (name, task, record) => {
  const good: Record<string, object> = {
    causal_lm:
      'text' in record
        ? { text: 'land' }
        : 'prompt' in record
          ? { prompt: 'land', completion: 'land' }
          : { messages: [user('land'), answer] },
    dpo: { prompt: 'what?', chosen: 'land', rejected: 'sea' },
    embedding: { anchor: 'land', positive: 'sea' },
  };
  const file = `${name.replaceAll(' ', '-')}.jsonl`;
  writeFileSync(join(folder, file), [good[task], record].map(line => JSON.stringify(line)).join('\n'));
  const recipe = (...overrides: string[]) =>
    recipeOf('model=model', `task=${task}`, `data.train=${file}`, 'max_length=32', 'r=4', 'max_steps=1', ...overrides);
  const context = { cacheDir, baseDir: folder, hub: { offline: true } } as const;
  // Parts that are no texts are refused before a template writes their tokens.
  const isPart = JSON.stringify(record).includes('"type"');
  const said = new RegExp(`${file}:2: ${isPart ? 'key "messages\\[0\\]\\.content\\[0\\]": a part of type' : `token 32\\d ${REFUSED}`}`);
  await expect(trainRunsIn(folder, context, recipe)(name, [])).rejects.toThrow(said);
});

test('prompts, and reference numbers', async () => {
  const opened = await openModel(model);
  const ask = (prompt: string) =>
    generateText({ engine, folder: opened, prompt, options: { chat: false, maxNewTokens: 4, temperature: 0, topK: 0, topP: 1, seed: 1 } });
  await expect(ask('see <image_soft_token>')).rejects.toThrow(`token 321 ${REFUSED}`);
  expect((await ask('see')).finishReason).toBe('max_new_tokens');
  const causal = causalModel(opened.config);
  const golden = await readGolden(join(GOLDEN, 'gemma3n_text', 'golden.json'));
  const ids = golden.inputs.input_ids;
  const changed = { ...golden, inputs: { ...golden.inputs, input_ids: ids && { ...ids, data: [321, ...ids.data.slice(1)] } } };
  expect(() => verifyProgram(causal, changed)).toThrow(`cannot be compared: token 321 ${REFUSED}`);
  await opened.weights.close();
});

test('an answer has no such token, even if it is the likeliest', async () => {
  const opened = await openModel(model);
  const causal = causalModel(opened.config);
  const decoder = await openDecoder({ engine, model: causal, weights: opened.weights, tokens: 16 });
  expect((await decoder.read([5, 6, 7])).length).toBe(TEXT_TOKENS);
  expect((await decoder.next(8)).length).toBe(TEXT_TOKENS);
  expect(() => decoder.begin(0, [5, 321])).toThrow(REFUSED);
  await decoder.dispose();
  await opened.weights.close();
});
