/** ESM: published configs, the frequencies of its positions, and what is refused. */
import { describe, expect, test } from 'vitest';
import { architectures } from '../../../../../trainer/model/architectures.ts';
import type { ConfigJson } from '../../../../../trainer/model/config-json.ts';
import { esm } from '../../../../../trainer/model/family/text/esm.ts';
import { esmConfig } from '../../../../../trainer/model/family/text/esm-config.ts';
import { loadModel, unknownConfigKeys, weightMismatches } from '../../../../../trainer/model/load-model.ts';
import type { ParameterSpec } from '../../../../../trainer/model/module-specs.ts';
import { withStacks } from '../../../../../trainer/model/stored-form.ts';

/** Keys as in the files of the smallest ESM-2. */
const esm2: ConfigJson = {
  ...{ architectures: ['EsmForMaskedLM'], attention_probs_dropout_prob: 0, classifier_dropout: null, emb_layer_norm_before: false },
  ...{ esmfold_config: null, hidden_act: 'gelu', hidden_dropout_prob: 0, hidden_size: 320, initializer_range: 0.02 },
  ...{ intermediate_size: 1280, is_folding_model: false, layer_norm_eps: 1e-5, mask_token_id: 32, max_position_embeddings: 1026 },
  ...{ model_type: 'esm', num_attention_heads: 20, num_hidden_layers: 6, pad_token_id: 1, position_embedding_type: 'rotary' },
  ...{
    token_dropout: true,
    torch_dtype: 'float32',
    transformers_version: '4.25.0.dev0',
    use_cache: true,
    vocab_list: null,
    vocab_size: 33,
  },
};
const read = (config: ConfigJson) => esmConfig('EsmForMaskedLM', { prefix: 'esm.', hasHead: false }, config, {});
const nameOf = (block: number | '*') => `esm.encoder.layer.${block}.attention.self.rotary_embeddings.inv_freq`;

test('a published config is known, without a name of its class too', () => {
  expect(unknownConfigKeys(esm2)).toEqual([]);
  const { architectures: _, ...unnamed } = esm2;
  const [model, other] = [loadModel(esm2), loadModel(unnamed)];
  expect(other.parameters.map(({ name }) => name)).toEqual(model.parameters.map(({ name }) => name));
  expect(model).toMatchObject({ family: 'esm', blocks: 6, hiddenSize: 320, input: { maxPositions: 1026, padId: 1, vocabularySize: 33 } });
  // 7,511,801 in Transformers with the head for masked tokens; without that head, with two labels, and with the frequencies.
  const encoder = model.parameters.filter(({ name, buffer }) => name.startsWith('esm.') && !buffer);
  expect(encoder.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0)).toBe(33 * 320 + 6 * (12 * 320 * 320 + 13 * 320) + 640);
});

test('a table of positions begins behind the padding token, and has no frequencies', () => {
  const learned = { ...esm2, position_embedding_type: 'absolute', emb_layer_norm_before: true };
  const model = loadModel(learned);
  expect(model).toMatchObject({ input: { maxPositions: 1024 } });
  expect(model.parameters.some(({ buffer }) => buffer)).toBe(false);
  expect(model.modules.slice(0, 3).map(({ name }) => name)).toEqual(
    ['word_embeddings', 'position_embeddings', 'layer_norm'].map(name => `esm.embeddings.${name}`),
  );
});

describe('the frequencies', () => {
  const model = esm(read(esm2));
  const spec = model.parameters.find(({ buffer }) => buffer);
  const valuesIn = (parameters: readonly ParameterSpec[], tensors: Readonly<Record<string, number[]>>) =>
    withStacks(parameters, {
      tensors: new Map(Object.entries(tensors).map(([name, values]) => [name, { shape: [values.length] }])),
      readFloat32: async name => Float32Array.from(tensors[name] ?? []),
    }).readFloat32(nameOf(0));
  const own = Array.from({ length: 8 }, (_, i) => 0.5 ** i);

  test('those of the first block count, or those that stand for all; a file without any gets those of its base', async () => {
    expect(spec).toMatchObject({ name: nameOf(0), shape: [8], float32: true });
    expect(await valuesIn(model.parameters, { [nameOf(0)]: own, [nameOf(1)]: own.map(value => 3 * value) })).toEqual(
      Float32Array.from(own),
    );
    expect(await valuesIn(model.parameters, { [nameOf('*')]: own })).toEqual(Float32Array.from(own));
    const { parameters } = esm(read({ ...esm2, rope_theta: 100 }));
    expect(await valuesIn(parameters, {})).toEqual(Float32Array.from({ length: 8 }, (_, i) => 100 ** (-i / 8)));
  });

  test('a file may lack them, and those of another size are a mismatch', () => {
    const shapes = new Map(model.parameters.map(({ name, shape }) => [name, { shape }]));
    shapes.delete(nameOf(0));
    expect(weightMismatches(model, shapes)).toEqual([]);
    expect(weightMismatches(model, new Map([...shapes, [nameOf(0), { shape: [4] }]]))).toEqual([
      `${nameOf(0)} is [4] in the file, [8] by config.json`,
    ]);
    expect(weightMismatches(model, new Map([...shapes, [nameOf('*'), { shape: [4] }]]))).toEqual([
      `${nameOf('*')} is [4] in the file, [8] by config.json`,
    ]);
  });
});

test('what the file has and the model does not use is carried into exports', () => {
  const { carried } = loadModel(esm2);
  const regression = { 'esm.contact_head.regression.weight': [1, 120], 'esm.contact_head.regression.bias': [1] };
  expect(Object.fromEntries((carried ?? []).slice(-2).map(({ name, shape }) => [name, shape]))).toEqual(regression);
  expect(carried?.slice(0, -2).map(({ name }) => name)).toEqual([1, 2, 3, 4, 5].map(nameOf));
});

test.each([
  [{ is_folding_model: true }, 'is_folding_model true is not supported'],
  [{ position_embedding_type: 'relative_key' }, 'position_embedding_type "relative_key" is not supported'],
  [{ rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling {"type":"linear","factor":2} is not supported'],
  [{ mask_token_id: null }, 'token_dropout is on, and mask_token_id names no token'],
  [{ pad_token_id: undefined }, 'pad_token_id'],
  [{ pad_token_id: 33 }, 'pad_token_id 33 is not below vocab_size 33'],
  [{ hidden_size: 60 }, 'heads of 3 features cannot be rotated in pairs'],
  [{ position_embedding_type: 'absolute', max_position_embeddings: 2 }, 'leaves no position behind pad_token_id 1'],
])('%j is refused', (change, message) => {
  expect(() => loadModel({ ...esm2, ...change })).toThrow(message);
});

test('every class of the family is known', () => {
  expect(Object.keys(architectures).filter(name => name.startsWith('Esm'))).toEqual([
    ...['EsmModel', 'EsmForMaskedLM', 'EsmForSequenceClassification', 'EsmForTokenClassification'],
  ]);
});
