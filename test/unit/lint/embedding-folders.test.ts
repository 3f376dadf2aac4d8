/** Tests folders of sentence-transformers: the task that a new recipe gets, the text prefixes, and modules that are not supported. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataCache } from '../../../trainer/lint/facts/data-facts.ts';
import { ModelCache } from '../../../trainer/lint/facts/model-facts.ts';
import { readDataFact } from '../../../trainer/lint/facts/read-data-fact.ts';
import { readModelFacts } from '../../../trainer/lint/facts/read-model-facts.ts';
import { tasksOf } from '../../../trainer/lint/facts/tasks-of-model.ts';
import { newRecipe } from '../../../trainer/lint/new-recipe.ts';
import { modelProblems } from '../../../trainer/lint/problems/model-problems.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');

/** Creates a folder with the models, each with a tokenizer, and data. */
function workOf(...names: readonly string[]): string {
  const dir = makeTemporaryFolder();
  for (const name of names) {
    cpSync(join(golden, name), join(dir, name), { recursive: true });
    writeFileSync(join(dir, name, 'tokenizer.json'), '{"model":{"vocab":{"a":0}}}');
  }
  writeFileSync(join(dir, 'pairs.jsonl'), '{"query":"a","positive":"b","negative":"c"}\n'.repeat(4));
  return dir;
}

const look = (dir: string, name: string) => new ModelCache(dir, readModelFacts).look(name, 'main', dir);

test.each([
  ['qwen3_embedding', { query: 'Instruct: Find the answer\nQuery:', document: undefined }],
  ['gemma3_embedding', { query: 'task: search result | query: ', document: 'title: none | text: ' }],
])('%s is for embeddings alone, and a new recipe has its prompts', async (model, prompts) => {
  const baseDir = workOf(model);
  const facts = await look(baseDir, model);
  expect(facts).toMatchObject({ kind: 'ready', vectors: { prompts } });
  expect(facts.kind === 'ready' && tasksOf(facts.model)).toEqual(['embedding']);
  const sources = { models: new ModelCache(baseDir, readModelFacts), data: new DataCache(readDataFact, baseDir) };
  const answer = await newRecipe(sources, { model, data: 'pairs.jsonl', method: 'lora', baseDir });
  expect(answer).toMatchObject({ fitting: { task: 'embedding', prompts } });
});

test('a language model can be tuned for embeddings, in the last place', async () => {
  const facts = await look(workOf('llama'), 'llama');
  expect(facts.kind === 'ready' && tasksOf(facts.model).at(-1)).toBe('embedding');
});

test('modules that are not computed are named', async () => {
  const baseDir = workOf('qwen3_embedding');
  const module = (path: string, kind: string) => ({ path, type: `sentence_transformers.models.${kind}` });
  const modules = [module('', 'Transformer'), module('1_Pooling', 'Pooling'), module('2_LSTM', 'LSTM')];
  writeFileSync(join(baseDir, 'qwen3_embedding', 'modules.json'), JSON.stringify(modules));
  const model = await look(baseDir, 'qwen3_embedding');
  const parsed = parseRecipe('model: qwen3_embedding\ntask: embedding\nmethod: lora\nmax_length: 32\ndata: {train: pairs.jsonl}');
  expect([...modelProblems({ model, parsed, values: parsed.resolved })]).toEqual([
    expect.objectContaining({ code: 'task-for-model', message: expect.stringContaining('modules.json: lists the module LSTM') }),
  ]);
});
