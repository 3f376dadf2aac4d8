/** Tests which models are listed: those of folders, and those in the folder of a run separately. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { listModels } from '../../../trainer/rpc/models.ts';
import { readHere } from '../../support/daemon/reader.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const { folder } = makeTinyTask();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('exports inside a run are named with the run, and checkpoints are not listed', async () => {
  const run = join(folder, 'runs', 'spam');
  mkdirSync(run, { recursive: true });
  for (const name of ['state.json', 'recipe.yaml']) writeFileSync(join(run, name), '');
  for (const where of ['runs/spam/merged', 'runs/spam/checkpoints/step-1', 'runs/spam-merged'])
    cpSync(join(folder, 'model'), join(folder, where), { recursive: true });
  const { models } = await listModels(join(folder, 'no-cache'), [folder], readHere);
  expect(models.map(({ name, source }) => `${source} ${name}`).sort()).toEqual(['folder model', 'folder spam-merged', 'run spam/merged']);
});

test('folders with files of torch.save are models too', async () => {
  const { models } = await listModels(join(folder, 'no-cache'), [join(import.meta.dirname, '..', '..', 'golden')], readHere);
  const found = new Map(models.map(model => [model.name, model]));
  expect(found.get('deberta_torch')).toMatchObject({ family: 'deberta-v2', dtypes: ['F16'] });
  expect(found.get('llama_torch')).toMatchObject({ family: 'llama', dtypes: ['BF16'] });
  expect(found.get('bert_torch')?.problem).toBeUndefined();
});
