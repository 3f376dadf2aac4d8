/** Tests folders of Model Optimizer whose config.json does not say that weights are quantized: the file next to it does. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openModel, readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { FolderCache } from '../../../trainer/lint/facts/folder-facts.ts';
import { loadModel, unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import { PLAIN_CONFIG, QUANT, QUANT_HOW, quantFileCopy } from '../../support/models/quant-file-copy.ts';
import { goldenPath } from '../hub/model-bytes.ts';

test('a folder has the values of one whose config.json says so', async () => {
  const folder = await quantFileCopy();
  const [found, golden] = await Promise.all([folder, goldenPath('qwen3_modelopt')].map(at => openModel(at)));
  expect([...(found?.weights.tensors.values() ?? [])]).toEqual([...(golden?.weights.tensors.values() ?? [])]);
  expect(found?.weights.tensors.size).toBe(14);
  for (const name of golden?.weights.tensors.keys() ?? [])
    expect(await found?.weights.readFloat32(name)).toEqual(await golden?.weights.readFloat32(name));
  expect(loadModel(found?.config ?? {}).parameters).toEqual(loadModel(golden?.config ?? {}).parameters);
  expect(unknownConfigKeys(found?.config ?? {})).toEqual([]);
  await Promise.all([found?.weights.close(), golden?.weights.close()]);
  const { tensors, damage } = await new FolderCache().look(folder);
  expect([damage, tensors]).toEqual([undefined, (await readModelHeaders(folder)).tensors]);
});

test('both files may say the same', async () => {
  const folder = await quantFileCopy(QUANT, { ...PLAIN_CONFIG, quantization_config: QUANT_HOW });
  expect((await readModelHeaders(folder)).config.quantization_config).toEqual(QUANT_HOW);
});

test('a file that is only of the cache of keys and values changes nothing', async () => {
  const folder = await quantFileCopy({ quant_algo: null, kv_cache_quant_algo: 'FP8' }, { ...PLAIN_CONFIG, quantization_config: QUANT_HOW });
  expect((await readModelHeaders(folder)).config.quantization_config).toEqual(QUANT_HOW);
});

test.each<readonly [string, unknown, object, RegExp]>([
  ['another form', { ...QUANT, quant_algo: 'W4A8_AWQ' }, PLAIN_CONFIG, /has quant_algo W4A8_AWQ, which is not read\. Supported: fp8, /],
  ['no form', {}, PLAIN_CONFIG, /has no quant_algo/],
  [
    'layers in another form',
    { ...QUANT, quantized_layers: { a: { quant_algo: 'W4A8_AWQ' } } },
    PLAIN_CONFIG,
    /has quantized_layers .*W4A8_AWQ.*, which is not read/,
  ],
  [
    'another form than the config',
    { ...QUANT, quant_algo: 'FP8' },
    { ...PLAIN_CONFIG, quantization_config: QUANT_HOW },
    /has quant_algo FP8, but the quantization_config of config\.json has MIXED_PRECISION\. Remove/,
  ],
  [
    'another library than the config',
    QUANT,
    { ...PLAIN_CONFIG, quantization_config: { quant_method: 'fp8' } },
    /has quant_algo MIXED_PRECISION, but the quantization_config of config\.json has fp8/,
  ],
])('%s: a run and the linter name the file', async (_, quantization, config, message) => {
  const folder = await quantFileCopy(quantization, config);
  await expect(readModelHeaders(folder)).rejects.toThrow(message);
  await expect(readModelHeaders(folder)).rejects.toThrow(/hf_quant_config\.json: has/);
  expect((await new FolderCache().look(folder)).damage).toMatch(/^hf_quant_config\.json: has /);
});

test('a damaged file is named, and a broken config.json is no damage of weights', async () => {
  const folder = await quantFileCopy();
  await writeFile(path.join(folder, 'hf_quant_config.json'), '{"quantization": ');
  await expect(readModelHeaders(folder)).rejects.toThrow(/hf_quant_config\.json: is not valid JSON/);
  expect((await new FolderCache().look(folder)).damage).toMatch(/hf_quant_config\.json: is not valid JSON/);
  await writeFile(path.join(folder, 'config.json'), '{');
  expect((await new FolderCache().look(folder)).damage).toBeUndefined();
});
