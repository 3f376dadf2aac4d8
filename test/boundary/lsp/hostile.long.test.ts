/** Opens documents and folders made to stop the language server, then checks that it still answers for an ordinary document. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostileRecipes } from '../../support/hostile-recipes.ts';
import { LanguageClient } from './language-client.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-hostile-'));
const client = new LanguageClient();

beforeAll(async () => {
  // A pickle of one list and thousands of dicts built from it.
  mkdirSync(path.join(folder, 'pickle'));
  writeFileSync(path.join(folder, 'pickle', 'config.json'), '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}');
  const dicts = 'ccollections\nOrderedDict\nh\0\x85R0'.repeat(4000);
  const pickle = `\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02](${'K\x01K\x02\x86'.repeat(50_000)}eq\0${dicts}}.`;
  writeFileSync(path.join(folder, 'pickle', 'pytorch_model.bin'), pickle, 'latin1');
  mkdirSync(path.join(folder, 'deep'));
  writeFileSync(path.join(folder, 'deep', 'config.json'), `{"architectures": ${'['.repeat(80_000)}`);
  writeFileSync(path.join(folder, 'deep', 'model.safetensors'), 'x');
  await client.initialize({});
});
afterAll(async () => {
  expect(await client.shutdown()).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

const uriOf = (name: string): string => pathToFileURL(path.join(folder, name)).href;
const open = (uri: string, text: string): Promise<void> =>
  client.notify('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 1, text } });
const whole = { start: { line: 0, character: 0 }, end: { line: 100_000, character: 0 } };
let documents = 0;

async function expectAnswer(): Promise<void> {
  const uri = uriOf(`ordinary-${documents++}.rowtune.yaml`);
  await open(uri, 'model: m\ndata: {train: a.jsonl}\nlearning_rat: 1.0e-4\n');
  const found = await client.diagnostics(uri, diagnostics => diagnostics.some(({ code }) => code === 'unknown-key'));
  expect(found.map(({ code }) => code)).toContain('unknown-key');
}

test.each(Object.entries(hostileRecipes))('after a recipe of %s', async (_, text) => {
  const uri = uriOf(`hostile-${documents++}.rowtune.yaml`);
  await open(uri, text);
  expect((await client.diagnostics(uri, found => found.length > 0)).length).toBeLessThanOrEqual(510);
  const textDocument = { uri };
  expect(await client.request('textDocument/codeAction', { textDocument, range: whole, context: { diagnostics: [] } })).toBeInstanceOf(
    Array,
  );
  await client.request('textDocument/hover', { textDocument, position: { line: 2, character: 3 } });
  await client.request('textDocument/completion', { textDocument, position: { line: 2, character: 3 } });
  await expectAnswer();
});

test.each([
  ['pickle', 'makes more values from those it has'],
  ['deep', 'nested deeper than 64'],
])('after a model folder: %s', async (name, message) => {
  const uri = uriOf(`of-${name}.rowtune.yaml`);
  await open(uri, `model: ${name}\ndata: {train: a.jsonl}\n`);
  const found = await client.diagnostics(uri, diagnostics => diagnostics.some(({ code }) => code === 'unreadable-model'));
  expect(found.find(({ code }) => code === 'unreadable-model')?.message).toContain(message);
  await expectAnswer();
});

test('after a config of brackets', async () => {
  const uri = uriOf('deep/config.json');
  await open(uri, `{"architectures": ${'['.repeat(80_000)}`);
  const [found] = await client.diagnostics(uri, diagnostics => diagnostics.length > 0);
  expect(found?.message).toContain('nested deeper than 64');
  await expectAnswer();
});
