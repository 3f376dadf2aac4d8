/**
 * Tests tokenizers made from SentencePiece models and plain vocabularies: ids equal those of SentencePiece itself, and of Transformers'
 * classes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { charsmapNormalizer } from '../../../trainer/format/tokenizer/charsmap.ts';
import { parseSentencePiece } from '../../../trainer/format/tokenizer/sentencepiece-model.ts';
import { loadTokenizer } from '../../../trainer/format/tokenizer/tokenizer-files.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { goldenPath, modelFileError, temporaryFolder } from './model-bytes.ts';

const ids = z.array(z.number());
const golden = readGoldenJson(
  'vocabularies/texts.json',
  z.object({
    texts: z.record(z.string(), z.array(z.object({ text: z.string(), ids }))),
    pair: z.tuple([z.string(), z.string()]),
    pairs: z.record(z.string(), z.object({ ids, types: ids.nullable(), masked: ids.nullable() })),
  }),
);
const modelTypes: Readonly<Record<string, string>> = {
  deberta_torch: 'deberta-v2',
  bert_torch: 'bert',
  llama_torch: 'llama',
  'vocabularies/roberta': 'roberta',
  'vocabularies/xlm-roberta': 'xlm-roberta',
  'vocabularies/albert': 'albert',
};
const load = (folder: string) => loadTokenizer({ dir: goldenPath(folder), config: { model_type: modelTypes[folder] } });

test.each(Object.entries(golden.texts))('%s: the ids of every text', async (folder, samples) => {
  const tokenizer = await load(folder);
  for (const { text, ids } of samples) expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
});

test.each(Object.entries(golden.pairs))('%s: two texts, and a mask', async (folder, { ids, types, masked }) => {
  const tokenizer = await load(folder);
  expect(tokenizer.encodePair(...golden.pair)).toMatchObject({ ids, ...(types && { types }) });
  if (masked !== null) expect(tokenizer.encode('the [MASK] rose', { addSpecialTokens: true })).toEqual(masked);
});

/** SentencePiece's ids are those of XLM-RoBERTa less one, and those of CamemBERT less four; both read its unknown piece as 3. */
test('CamemBERT: the ids of every text, and the pieces of SentencePiece around it', async () => {
  const tokenizer = await loadTokenizer({ dir: goldenPath('vocabularies/xlm-roberta'), config: { model_type: 'camembert' } });
  for (const { text, ids } of golden.texts['vocabularies/xlm-roberta'] ?? [])
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids.map(id => (id === 3 ? 3 : id + 3)));
  const known = ['<s>NOTUSED', '<pad>', '</s>NOTUSED', '<unk>', '<unk>NOTUSED', '<s>', '</s>'];
  expect(known.map(token => tokenizer.tokenId(token))).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(tokenizer.encode('', { addSpecialTokens: true })).toEqual([5, 6]);
  expect(tokenizer.tokenId('<mask>')).toBe(tokenizer.vocabularySize - 1);
});

describe('ESM', () => {
  const esm = readGoldenJson(
    'vocabularies/esm.json',
    z.object({
      texts: z.record(z.string(), z.array(z.object({ text: z.string(), ids }))),
      whole: z.record(z.string(), ids),
      pairs: z.object({ esm2: z.object({ texts: z.tuple([z.string(), z.string()]), ids }) }),
    }),
  );
  const loadEsm = (name: string) => loadTokenizer({ dir: goldenPath(`vocabularies/${name}`), config: { model_type: 'esm' } });

  test.each(Object.entries(esm.texts))('%s: the ids of every text', async (name, samples) => {
    const tokenizer = await loadEsm(name);
    for (const { text, ids } of samples) expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.encode(samples[0]?.text ?? '', { addSpecialTokens: true })).toEqual(esm.whole[name]);
  });

  test('two proteins', async () => {
    const { texts, ids } = esm.pairs.esm2;
    expect((await loadEsm('esm2')).encodePair(...texts)).toMatchObject({ ids });
  });
});

test('special tokens that no file names are those of the family, and its mask comes behind the pieces', async () => {
  const tokenizer = await load('deberta_torch');
  expect(['[PAD]', '[CLS]', '[SEP]', '[UNK]', '[MASK]'].map(token => tokenizer.tokenId(token))).toEqual([0, 1, 2, 3, 400]);
  expect(tokenizer).toMatchObject({ padId: 0, bosId: 1, eosIds: [2], vocabularySize: 401 });
  expect(tokenizer.encode('', { addSpecialTokens: true })).toEqual([1, 2]);
});

test('texts come back', async () => {
  for (const folder of ['deberta_torch', 'llama_torch', 'vocabularies/roberta']) {
    const tokenizer = await load(folder);
    const text = 'the river rose, and the land lay under water';
    expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: true }), { skipSpecialTokens: true })).toBe(text);
  }
  const llama = await load('llama_torch');
  expect(llama.decode(llama.encode('日 😀 end', { addSpecialTokens: true }), { skipSpecialTokens: true })).toBe('日 😀 end');
});

test('the files exported with a model are the files of its folder', async () => {
  expect([...(await load('deberta_torch')).files().keys()]).toEqual(['tokenizer_config.json']);
});

describe('is refused', () => {
  const bytes = readFileSync(goldenPath('deberta_torch/spm.model'));
  const folderWith = (name: string, content: Uint8Array | string, settings: object = {}): string => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, name), content);
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(settings));
    return dir;
  };
  const refusal = async (dir: string, modelType: string): Promise<string> =>
    (await modelFileError(() => loadTokenizer({ dir, config: { model_type: modelType } }))).message;

  test('a family whose special tokens are not known, and settings that are not read', async () => {
    expect(await refusal(folderWith('spm.model', bytes), 'bert')).toContain('belongs to a model of the type bert');
    expect(await refusal(folderWith('spm.model', bytes, { split_by_punct: true }), 'deberta-v2')).toContain('split_by_punct');
    expect(await refusal(folderWith('vocab.txt', 'a\nb\n'), 'bert')).toContain('lacks the special tokens [UNK], [CLS], [SEP]');
    expect(await refusal(temporaryFolder(), 'bert')).toContain('there is neither a tokenizer.json nor a vocabulary');
  });

  test('a model that was cut or is something else', async () => {
    for (let length = 0; length < bytes.length; length += 9973)
      await expect(parseSentencePiece('spm.model', bytes.subarray(0, length)), String(length)).rejects.toThrow(
        /spm\.model: is no SentencePiece model/,
      );
    await expect(parseSentencePiece('spm.model', Buffer.from('version https://git-lfs'))).rejects.toThrow('is no SentencePiece model');
  });
});

test('a map of characters that says more than it holds is no map', () => {
  expect(() => charsmapNormalizer(new Uint8Array(3))).toThrow('has 3 bytes');
  expect(() => charsmapNormalizer(Uint8Array.from([255, 255, 255, 127, 0, 0, 0, 0]))).toThrow('others than it says');
  expect(charsmapNormalizer(Uint8Array.from([4, 0, 0, 0, 0, 0, 0, 0, 0]))('as it is')).toBe('as it is');
});
