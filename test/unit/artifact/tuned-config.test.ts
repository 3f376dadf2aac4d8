/** Tests the facts about a tuned model that its base's files do not contain. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takesGguf } from '../../../trainer/artifact/gguf/gguf-file.ts';
import { sizeKeys } from '../../../trainer/artifact/merged/classifier-form.ts';
import { type ModelFolder, openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel, loadModel } from '../../../trainer/model/load-model.ts';
import { TINY_LLAMA, tinyWithTokenizer } from '../../support/models/tiny-adapter.ts';

async function opened(dir: string): Promise<ModelFolder> {
  const folder = await openModel(dir);
  await folder.weights.close();
  return folder;
}

test('a model of timm that was tuned at another size of images says so, in its own keys', async () => {
  const { config } = await opened(join(TINY_LLAMA, '..', 'timm_resnext'));
  expect(sizeKeys(loadModel(config), config)).toBeUndefined();
  const sized = sizeKeys(loadModel(config, { imageSize: [96, 64] }), config);
  expect(sized).toMatchObject({ pretrained_cfg: { input_size: [3, 96, 64], crop_pct: 0.95 } });
  expect(loadModel({ ...config, ...sized })).toMatchObject({ input: { height: 96, width: 64 } });
});

test('GGUF takes a model that llama.cpp knows, with a tokenizer that its files can hold', async () => {
  const folder = await opened(await tinyWithTokenizer());
  const model = causalModel(folder.config);
  const tokenizer = await folder.loadTokenizer();
  const json = tokenizer.files().get('tokenizer.json') ?? '';
  const holding = (text: string) => ({
    ...folder,
    loadTokenizer: async () => ({ ...tokenizer, files: () => new Map([['tokenizer.json', text]]) }),
  });
  const bytes = JSON.stringify({ model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, pre_tokenizer: { type: 'ByteLevel' } });
  expect(await takesGguf({ folder: holding(bytes), model })).toBe(true);
  expect(await takesGguf({ folder: holding(json.replaceAll('"BPE"', '"WordPiece"')), model })).toBe(false);
  expect(await takesGguf({ folder: await opened(TINY_LLAMA), model })).toBe(false);
  expect(await takesGguf({ folder, model: loadModel((await opened(join(TINY_LLAMA, '..', 'bert'))).config) })).toBe(false);
});
