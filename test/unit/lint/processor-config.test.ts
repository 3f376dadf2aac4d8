/** Tests that unknown settings of processors of images are reported where they are, and that those of known folders are known. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FolderCache } from '../../../trainer/lint/facts/folder-facts.ts';
import { configProblems } from '../../../trainer/lint/problems/config-problems.ts';
import { GOLDEN, readRecord } from '../../support/files/read-json.ts';

const FILES = ['preprocessor_config.json', 'processor_config.json'];
const config = readRecord(path.join(GOLDEN, 'mistral3_vision', 'config.json'));
const facts = { missingShards: [], hasAdapterWeights: false };

const unknown = (settings: object, ofModel = config) =>
  configProblems({
    text: JSON.stringify(settings),
    file: 'processor_config.json',
    kind: 'processor',
    facts: { ...facts, config: ofModel },
  }).map(({ code, path: at }) => [code, at.join('.')]);

test('an unknown setting is reported, also inside the settings of the image processor', () => {
  expect(
    unknown({ patch_size: 4, strange: 1, image_processor: { size: { longest_edge: 5 }, odd: 2 }, video_processor: { fps: 1 } }),
  ).toEqual([
    ['unknown-config-key', 'strange'],
    ['unknown-config-key', 'image_processor.odd'],
  ]);
});

test('settings of a model whose images are not read are not looked at', () => {
  expect(unknown({ strange: 1 }, readRecord(path.join(GOLDEN, 'llama', 'config.json')))).toEqual([]);
});

test('every setting that Transformers writes for the golden folders is known', async () => {
  const folders = new FolderCache();
  const found = readdirSync(GOLDEN, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .flatMap(({ name }) =>
      FILES.filter(file => readdirSync(path.join(GOLDEN, name)).includes(file)).map(file => path.join(GOLDEN, name, file)),
    );
  expect(found.length).toBeGreaterThan(8);
  for (const file of found) {
    const own = await folders.look(path.dirname(file));
    expect(configProblems({ text: JSON.stringify(readRecord(file)), file, kind: 'processor', facts: own }), file).toEqual([]);
  }
});
