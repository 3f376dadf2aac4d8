/** Tests hub names: the linter reads the model that a run would use. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { markComplete, rememberRevision, repoFolder } from '../../../../trainer/hub/hub-cache.ts';
import { ModelCache } from '../../../../trainer/lint/facts/model-facts.ts';
import { readModelFacts } from '../../../../trainer/lint/facts/read-model-facts.ts';
import { unusable } from '../../../../trainer/lint/problems/unusable-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-hub-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const golden = join(import.meta.dirname, '..', '..', '..', 'golden', 'llama');
const look = (cacheDir: string) => new ModelCache(join(folder, cacheDir), readModelFacts).look('org/tiny', 'main', join(folder, 'recipes'));

test('a downloaded model is found, whatever folder is next to the recipe', async () => {
  mkdirSync(join(folder, 'recipes'));
  expect(await look('empty')).toMatchObject({ kind: 'not-downloaded' });
  const repository = repoFolder(join(folder, 'full'), 'org/tiny');
  const commit = 'a'.repeat(40);
  cpSync(golden, join(repository, commit), { recursive: true });
  await markComplete(join(repository, commit));
  await rememberRevision(repository, 'main', commit);
  expect(await look('full')).toMatchObject({ kind: 'ready' });

  // A name below an existing folder is probably a misspelled path, unless a run would find it.
  mkdirSync(join(folder, 'recipes', 'org', 'tinny'), { recursive: true });
  expect(await look('empty')).toMatchObject({ kind: 'missing', suggestion: 'org/tinny' });
  expect(await look('full')).toMatchObject({ kind: 'ready' });
});

test('a name of one word suggests the similar model next to the recipe, but no other folder', async () => {
  const beside = join(folder, 'beside');
  cpSync(golden, join(beside, 'model'), { recursive: true });
  mkdirSync(join(beside, 'gpt3'));
  const cache = new ModelCache(join(folder, 'empty'), readModelFacts);
  const found = await cache.look('modle', 'main', beside);
  expect(found).toEqual({ kind: 'not-downloaded', suggestion: 'model' });
  expect(await cache.look('gpt2', 'main', beside)).toEqual({ kind: 'not-downloaded', suggestion: undefined });
  expect(found.kind === 'not-downloaded' ? unusable(found, 'modle', ['model']) : found).toMatchObject({
    severity: 'info',
    message: expect.stringContaining("write 'model'"),
    replaceBy: 'model',
  });
});
