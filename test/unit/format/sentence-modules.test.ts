/** Folders of sentence-transformers: pooling in files old and new, and modules that are not computed here. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSentenceModules, sentenceLength, writeSentenceModules } from '../../../trainer/format/sentence-modules.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const makeFolder = (): string => makeTemporaryFolder();
const module = (path: string, kind: string) => ({ path, type: `sentence_transformers.models.${kind}` });

function folderOf(modules: unknown, pooling: object = { pooling_mode_mean_tokens: true }): string {
  const dir = makeFolder();
  mkdirSync(join(dir, '1_Pooling'));
  writeFileSync(join(dir, 'modules.json'), JSON.stringify(modules));
  writeFileSync(join(dir, '1_Pooling', 'config.json'), JSON.stringify(pooling));
  return dir;
}
const plain = [module('', 'Transformer'), module('1_Pooling', 'Pooling')];

test('a folder without a list of modules is none of them', async () => {
  expect(await readSentenceModules(makeFolder())).toBeUndefined();
});

test('what is written is read', async () => {
  for (const given of [{ mode: 'max', normalize: true } as const, { mode: 'cls', normalize: false } as const]) {
    const dir = makeFolder();
    await writeSentenceModules(dir, { ...given, dimensions: 8, maxLength: 64 });
    expect(await readSentenceModules(dir)).toEqual(given);
    expect(await sentenceLength(dir)).toBe(64);
  }
});

test('files name the pooling by flags, or by one key', async () => {
  expect(await readSentenceModules(folderOf([...plain, module('2_Normalize', 'Normalize')]))).toEqual({ mode: 'mean', normalize: true });
  expect(await readSentenceModules(folderOf(plain, { pooling_mode: 'cls' }))).toEqual({ mode: 'cls', normalize: false });
});

test.each<[string, string, RegExp]>([
  ['another module', folderOf([...plain, module('2_Dense', 'Dense')]), /modules\.json.* lists the module Dense/],
  ['no pooling', folderOf([module('', 'Transformer')]), /lists sentence_transformers.models.Transformer/],
  ['a pooling that is not computed', folderOf(plain, { pooling_mode_lasttoken: true }), /pools by pooling_mode_lasttoken/],
  [
    'two poolings',
    folderOf(plain, { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true }),
    /pools by pooling_mode_cls_token, pooling/,
  ],
  ['a prompt that is left out', folderOf(plain, { pooling_mode: 'mean', include_prompt: false }), /leaves out the prompt/],
  ['a folder elsewhere', folderOf([module('', 'Transformer'), module('../x', 'Pooling')]), /names the folder "..\/x"/],
  ['no list', folderOf({}), /is not a list of modules/],
])('%s is refused', async (_, dir, message) => {
  await expect(readSentenceModules(dir)).rejects.toThrow(message);
});
