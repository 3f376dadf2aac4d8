/** Tests folders of images and of texts, in the layouts of data sets. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { DataCache } from '../../../trainer/lint/facts/data-facts.ts';
import { isFolderOfImages } from '../../../trainer/lint/facts/image-folder.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';

async function folderWith(files: readonly string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const file of files) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), '');
  }
  return folder;
}

test.each<[string, readonly string[], boolean]>([
  ['a folder for each class', ['cat/1.png', 'owl/1.JPEG'], true],
  ['below one for each part', ['train/cat/1.png', 'test/cat/2.png'], true],
  ['images alone', ['1.webp'], true],
  ['texts', ['a.jsonl'], false],
  ['texts with a picture of them', ['a.jsonl', 'plot.png'], false],
  ['images with a file that describes them', ['cat/1.png', 'metadata.jsonl'], false],
  ['nothing', [], false],
  ['hidden images', ['.thumbnails/1.png'], false],
  ['images further down than data sets have them', ['a/b/c/d.png'], false],
  ['a picture above texts that are not looked for so far down', ['logo.png', 'en/train/v1/part.jsonl'], false],
])('%s', async (_, files, found) => expect(await isFolderOfImages(await folderWith(files))).toBe(found));

test('a missing folder and a file are no folders of images', async () => {
  expect(await isFolderOfImages(path.join(await temporaryFolder(), 'missing'))).toBe(false);
  expect(await isFolderOfImages(import.meta.filename)).toBe(false);
});

test('a recipe that reads texts of it says so, one that reads images does not', async () => {
  const folder = await folderWith(['cat/1.png', 'owl/1.png']);
  const files = new DataCache(() => expect.fail('no file is read'));
  const look = (task: string) => files.look('.', parseRecipe(`model: m\ntask: ${task}\ndata: {train: .}\n`).resolved, folder);
  expect(await look('causal_lm')).toMatchObject({
    state: 'unreadable',
    reason:
      '. is a folder of images, and Language model (task: causal_lm) reads texts. Choose a model of images and task: image_classification, or name a file of texts',
  });
  expect(await look('image_classification')).toMatchObject({ state: 'ok', labels: { cat: 1, owl: 1 } });
});

test.each([
  ['mails.jsonl', 'unreadable'],
  ['data_batch_1.bin', 'ok'],
  ['train-00000.parquet', 'ok'],
])('a recipe that reads images of %s: %s', async (name, state) => {
  const folder = await folderWith([name]);
  const files = new DataCache(() => expect.fail('no file is read'));
  const { resolved } = parseRecipe(`model: m\ntask: image_classification\ndata: {train: ${name}}\n`);
  const fact = await files.look(name, resolved, folder);
  expect(fact.state).toBe(state);
  if (fact.state === 'unreadable') expect(fact.reason).toContain(`${name} is not a file of images`);
});
