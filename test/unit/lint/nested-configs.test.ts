/** Tests problems inside the records of a config.json: the text part, its positions, and the encoder of images. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { configProblems } from '../../../trainer/lint/problems/config-problems.ts';
import { isRecord } from '../../../trainer/narrow.ts';
import { GOLDEN, readRecord } from '../../support/files/read-json.ts';

const facts = { missingShards: [], hasAdapterWeights: false };
const config = readRecord(path.join(GOLDEN, 'qwen3_5_vision', 'config.json'));

const problemsOf = (found: object) =>
  configProblems({ text: JSON.stringify(found), file: 'config.json', kind: 'config', facts }).map(
    ({ code, severity, path: at }) => `${severity} ${code} ${at.join('.')}`,
  );

/** The config with another value inside one of its records. */
function changed(record: string, change: object, ...inner: readonly string[]): object {
  const replace = (from: unknown, [first, ...rest]: readonly string[]): object => ({
    ...(isRecord(from) ? from : {}),
    ...(first === undefined ? change : { [first]: replace(isRecord(from) ? from[first] : {}, rest) }),
  });
  return replace(config, [record, ...inner]);
}

test.each([
  ['a size', changed('text_config', { hidden_size: -1 }), 'error contradictory-config text_config.hidden_size'],
  ['an activation', changed('text_config', { hidden_act: 'relu7' }), 'error unsupported-config text_config.hidden_act'],
  [
    'a base of positions',
    changed('text_config', { rope_theta: -3 }, 'rope_parameters'),
    'error contradictory-config text_config.rope_parameters.rope_theta',
  ],
  ['an unknown key of the text part', changed('text_config', { odd: 1 }), 'warning unknown-config-key text_config.odd'],
  [
    'an unknown key of positions',
    changed('text_config', { odd: 1 }, 'rope_parameters'),
    'warning unknown-config-key text_config.rope_parameters.odd',
  ],
  ['a size of the encoder', changed('vision_config', { depth: -1 }), 'warning contradictory-config vision_config.depth'],
  ['an unknown key of the encoder', changed('vision_config', { odd: 1 }), 'warning unknown-config-key vision_config.odd'],
])('%s is reported at its key', (_, found, problem) => expect(problemsOf(found)).toEqual([problem]));

test('stored forms of weights are read in models with images, too', () => {
  const quantized = (how: object) => problemsOf({ ...config, quantization_config: how });
  expect(quantized({ quant_method: 'fp8', activation_scheme: 'static', weight_block_size: null })).toEqual([]);
  expect(quantized({ quant_method: 'awq', bits: 4 })).toEqual([]);
  expect(quantized({ quant_method: 'gptq', bits: 5 })).toEqual(['error unsupported-config quantization_config.bits']);
});

const stored = readRecord(path.join(GOLDEN, 'quantization_keys.json'));
const plain = readRecord(path.join(GOLDEN, 'qwen3_gptq', 'config.json'));
const withStored = (how: unknown, kind = plain) => problemsOf({ ...kind, quantization_config: how });

test.each(Object.entries(stored).filter(([name]) => !name.includes('mxfp4')))('every key that %s writes is known', (_, how) => {
  expect(withStored(how)).toEqual([]);
  expect(problemsOf(changed('text_config', { quantization_config: how }))).toEqual([]);
});

test('the keys of gpt-oss, and those of AutoAWQ, are known', () => {
  const gptOss = readRecord(path.join(GOLDEN, 'gpt_oss_mxfp4', 'config.json'));
  expect(withStored(stored['transformers mxfp4'], gptOss)).not.toContainEqual(expect.stringContaining('quantization_config'));
  const written = { quant_method: 'awq', zero_point: true, version: 'gemm', modules_to_not_convert: null };
  expect(withStored({ ...written, group_size: 128, bits: 4 })).toEqual([]);
  expect(withStored({ ...written, q_group_size: 128, w_bit: 4 })).toEqual([]);
});

test.each([
  [{ quant_method: 'gptq', bits: 4, odd: 1 }, 'odd'],
  [{ quant_method: 'awq', bits: 4, damping: 1 }, 'damping'],
  [{ quant_method: 'fp8', odd: 1 }, 'odd'],
  [{ quant_method: 'modelopt', quant_algo: 'NVFP4', odd: 1 }, 'odd'],
  [{ quant_method: 'auto-round', bits: 4, packing_format: 'auto_round', odd: 1 }, 'odd'],
  [{ quant_method: 'bitsandbytes', load_in_4bit: true, odd: 1 }, 'odd'],
  [{ quant_method: 'compressed-tensors', format: 'dense', odd: 1 }, 'odd'],
  [{ quant_method: 'compressed-tensors', format: 'dense', config_groups: { a: { odd: 1 } } }, 'config_groups.a.odd'],
  [{ quant_method: 'compressed-tensors', format: 'dense', config_groups: { a: { weights: { odd: 1 } } } }, 'config_groups.a.weights.odd'],
])('%j has an unknown key', (how, key) => {
  expect(withStored(how)).toEqual([`warning unknown-config-key quantization_config.${key}`]);
  expect(problemsOf(changed('text_config', { quantization_config: how }))).toEqual([
    `warning unknown-config-key text_config.quantization_config.${key}`,
  ]);
});

test.each([
  [{ quant_method: 'fp8', expert_dtype: 'fp4' }, '.expert_dtype'],
  [{ quant_method: 'fp8', scale_fmt: 'e5m3' }, '.scale_fmt'],
  [{ quant_method: 'mxfp8', fmt: 'e5m2' }, '.fmt'],
  [{ quant_method: 'compressed-tensors', format: 'dense', moe_sparsity_config: { method: 'prune' } }, '.moe_sparsity_config'],
  [{ quant_method: 'awq', pack_dtype: 'int16' }, '.pack_dtype'],
  [{ quant_method: 'modelopt', quant_algo: 'NVFP4_SVD' }, '.quant_algo'],
])('%j is refused', (how, key) => expect(withStored(how)).toEqual([`error unsupported-config quantization_config${key}`]));

test('the keys of MLX are known, with those of single layers, and others are not', () => {
  const mlx = (quantization: unknown, rest: object = { quantization_config: quantization }) =>
    problemsOf({ ...plain, quantization_config: undefined, quantization, ...rest });
  const all = { group_size: 64, bits: 4, mode: 'affine' };
  const layer = 'model.layers.0.self_attn.q_proj';
  expect(mlx(all)).toEqual([]);
  expect(mlx({ group_size: 64, bits: 4 }, {})).toEqual([]);
  expect(mlx({ ...all, [layer]: { group_size: 32, bits: 6 }, lm_head: false })).toEqual([]);
  expect(mlx({ ...all, odd: 1 })).toEqual(['warning unknown-config-key quantization.odd']);
  expect(mlx({ ...all, [layer]: { odd: 1 } })).toEqual([expect.stringContaining('warning unknown-config-key quantization')]);
  expect(mlx({ ...all, bits: 7 })).toEqual(['error unsupported-config quantization.bits']);
  expect(mlx({ ...all, mode: 'int4' })).toEqual(['error unsupported-config quantization.mode']);
  expect(problemsOf({ ...config, quantization: all, quantization_config: all })).toEqual([]);
  expect(problemsOf({ ...config, quantization: { ...all, bits: 7 } })).toEqual(['error unsupported-config quantization.bits']);
  expect(mlx('4 bits', {})).toEqual(['error unsupported-config quantization']);
});

test('every key that Transformers writes for golden folders with images is known', () => {
  const found = readdirSync(GOLDEN, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(({ name }) => path.join(GOLDEN, name, 'config.json'))
    .filter(file => readdirSync(path.dirname(file)).includes('config.json') && readFileSync(file, 'utf8').includes('"text_config"'));
  expect(found.length).toBeGreaterThan(15);
  for (const file of found) expect(problemsOf(readRecord(file)), file).toEqual([]);
});
