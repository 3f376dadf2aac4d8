/**
 * Tests the facts about a model in lists and menus: whether it answers a text follows from what it computes, or from the name of
 * its class.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { configWritesText } from '../../../client/recipe/config-writes-text.ts';
import { describeModel } from '../../../trainer/lint/facts/describe-model.ts';
import { tasksOfModel } from '../../../trainer/lint/facts/tasks-of-model.ts';
import { goldenPath } from '../hub/model-bytes.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-describe-'));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ['llama', true, true],
  ['gemma3_images', true, true],
  ['gemma4_images', true, true],
  ['bert', true, false],
  ['bert_tokens', true, false],
  ['bert_reranker', false, false],
  ['vit', false, false],
  ['resnet', false, false],
])('%s', async (name, answersText, writesText) => {
  expect(await describeModel(goldenPath(name))).toMatchObject({ answersText, parameters: expect.any(Number) });
  expect(await configWritesText(path.join(goldenPath(name), 'config.json'))).toBe(writesText);
});

test('images are read by a class whose encoder is computed', async () => {
  expect(await describeModel(goldenPath('qwen3_5_vision'))).toMatchObject({ answersText: true, readsImages: true });
  for (const name of ['llama', 'vit', 'gguf/tiny-llama.gguf'])
    expect(await describeModel(goldenPath(name)), name).toMatchObject({ readsImages: false });
});

test('a GGUF file answers; a config that is damaged or missing does not', async () => {
  expect(await describeModel(goldenPath('gguf/tiny-llama.gguf'))).toMatchObject({ answersText: true });
  const file = path.join(folder, 'config.json');
  expect(await configWritesText(file)).toBe(false);
  for (const text of ['{', 'null', '[]', '{"architectures": "LlamaForCausalLM"}', '{"architectures": [1]}']) {
    writeFileSync(file, text);
    expect(await configWritesText(file), text).toBe(false);
  }
});

test.each([
  ['llama', 'causal_lm', 'sequence_classification'],
  ['bert', 'sequence_classification', 'causal_lm'],
  ['vit', 'image_classification', 'sequence_classification'],
  ['llama_score', 'sequence_classification', 'embedding'],
  ['qwen3_5', 'reward', 'sequence_classification'],
  ['qwen3_next', 'reward', 'sequence_classification'],
  ['qwen3_5_moe', 'dpo', 'reward'],
  ['gemma4', 'dpo', 'reward'],
  ['gemma3_images', 'dpo', 'reward'],
] as const)('%s can be tuned for %s, and not for %s', async (name, can, cannot) => {
  const tasks = await tasksOfModel(goldenPath(name));
  expect([tasks.includes(can), tasks.includes(cannot)]).toEqual([true, false]);
});
