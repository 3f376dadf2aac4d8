/** Tests folders of sentence-transformers: pooling in old and new files, and modules that are not supported. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  readSentenceModules,
  SENTENCE_CONFIG,
  sentenceLength,
  sentencePrompts,
  writeSentenceModules,
} from '../../../trainer/format/sentence-modules.ts';
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
const denseFolder = (config: object): string => {
  const dir = folderOf([...plain, module('2_Dense', 'Dense')]);
  mkdirSync(join(dir, '2_Dense'));
  const layer = { in_features: 8, out_features: 4, bias: false, activation_function: 'torch.nn.modules.linear.Identity', ...config };
  writeFileSync(join(dir, '2_Dense', 'config.json'), JSON.stringify(layer));
  return dir;
};
const plain = [module('', 'Transformer'), module('1_Pooling', 'Pooling')];

test('a folder without a list of modules is not a sentence model', async () => {
  expect(await readSentenceModules(makeFolder())).toBeUndefined();
});

test('modules read back as they were written', async () => {
  const dense = [{ at: '2_Dense', width: 8, out: 4, biased: false }];
  for (const given of [
    { mode: 'max', normalize: true } as const,
    { mode: 'cls', normalize: false } as const,
    { mode: 'lasttoken', dense, normalize: true } as const,
  ]) {
    const dir = makeFolder();
    await writeSentenceModules(dir, { ...given, dimensions: 8, maxLength: 64 });
    expect(await readSentenceModules(dir)).toEqual(given);
    expect(await sentenceLength(dir)).toBe(64);
  }
});

test('prompts of the base are kept, and those of the run stand in their place', async () => {
  const [base, dir] = [makeFolder(), makeFolder()];
  const settings = { prompts: { query: 'q: ', passage: 'p: ', other: 'o: ' }, default_prompt_name: 'other', similarity_fn_name: 'dot' };
  writeFileSync(join(base, SENTENCE_CONFIG), JSON.stringify(settings));
  expect(await sentencePrompts(base)).toEqual({ query: 'q: ', document: 'p: ' });
  await writeSentenceModules(dir, {
    mode: 'mean',
    normalize: true,
    dimensions: 8,
    maxLength: 64,
    prompts: { query: 'find: ' },
    baseDir: base,
  });
  const written: unknown = JSON.parse(readFileSync(join(dir, SENTENCE_CONFIG), 'utf8'));
  expect(written).toEqual({ ...settings, prompts: { ...settings.prompts, query: 'find: ' } });
});

test('files name the pooling by flags, or by one key', async () => {
  expect(await readSentenceModules(folderOf([...plain, module('2_Normalize', 'Normalize')]))).toEqual({ mode: 'mean', normalize: true });
  expect(await readSentenceModules(folderOf(plain, { pooling_mode: 'cls' }))).toEqual({ mode: 'cls', normalize: false });
});

test.each<[string, string, RegExp]>([
  ['another module', folderOf([...plain, module('2_LSTM', 'LSTM')]), /modules\.json.* lists the module LSTM/],
  [
    'a layer behind the length',
    folderOf([...plain, module('2_Normalize', 'Normalize'), module('3_Dense', 'Dense')]),
    /lists the module Normalize/,
  ],
  [
    'a layer with an activation',
    denseFolder({ activation_function: 'torch.nn.modules.activation.Tanh' }),
    /layer that is not computed \(activation_function/,
  ],
  ['a layer that adds its input', denseFolder({ use_residual: true }), /layer that is not computed \(use_residual/],
  ['no pooling', folderOf([module('', 'Transformer')]), /lists sentence_transformers.models.Transformer/],
  ['a pooling that is not computed', folderOf(plain, { pooling_mode_weightedmean_tokens: true }), /pools by pooling_mode_weightedmean/],
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
