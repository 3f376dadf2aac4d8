/** Tests that the linter says once that it did not open images, if the library that decodes them is missing. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, expect, test } from 'vitest';
import { setImageLibrary } from '../../../trainer/data/image/image-library.ts';
import { DataCache } from '../../../trainer/lint/facts/data-facts.ts';
import { readDataFact } from '../../../trainer/lint/facts/read-data-fact.ts';
import { uncheckedImages } from '../../../trainer/lint/problems/data-problems.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { makeTemporaryFolder, removeTemporaryFolders } from '../../support/machine/temporary-folder.ts';

afterEach(() => setImageLibrary(async () => sharp));
afterAll(removeTemporaryFolders);

test.each([true, false])('installed: %s', async isInstalled => {
  setImageLibrary(() => (isInstalled ? Promise.resolve(sharp) : Promise.reject(new Error('no package'))));
  const folder = makeTemporaryFolder();
  const image = path.join(folder, 'a.png');
  await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } }).toFile(image);
  const messages = '"messages":[{"role":"user","content":"<image>What?"},{"role":"assistant","content":"Red."}]';
  for (const name of ['a.jsonl', 'b.jsonl']) writeFileSync(path.join(folder, name), `{"images":["a.png"],${messages}}\n`);
  const values = parseRecipe('model: m\ndata: {train: [a.jsonl, b.jsonl]}\n').resolved;
  const cache = new DataCache(readDataFact);
  const data = await Promise.all(values.data.train.map(file => cache.look(file, values, folder)));
  expect(data.map(({ state }) => state)).toEqual(['ok', 'ok']);
  expect([...uncheckedImages({ data, values })]).toEqual(
    isInstalled
      ? []
      : [
          {
            code: 'images-not-checked',
            severity: 'info',
            path: ['data', 'train', 0],
            message: expect.stringMatching(/run "rowtune engine install --with images"$/),
          },
        ],
  );
});
