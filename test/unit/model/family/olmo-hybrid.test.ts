/** OLMo Hybrid: what its config gives each block, the published config, the forms of its files, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys, weightMismatches } from '../../../../trainer/model/load-model.ts';
import { heldTensors, storedTensors } from '../../../../trainer/model/stored-form.ts';
import { required } from '../../../../trainer/narrow.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));
const read = (changes: ConfigJson) => decoderConfig('OlmoHybridForCausalLM', { ...saved('olmo_hybrid'), ...changes });

/** Olmo-Hybrid-7B, with four blocks. */
const published: ConfigJson = {
  ...{
    architectures: ['OlmoHybridForCausalLM'],
    model_type: 'olmo_hybrid',
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: null,
  },
  ...{
    eos_token_id: 100257,
    pad_token_id: 100277,
    hidden_act: 'silu',
    hidden_size: 3840,
    initializer_range: 0.02,
    intermediate_size: 11008,
  },
  ...{
    layer_types: ['linear_attention', 'linear_attention', 'linear_attention', 'full_attention'],
    linear_a_log_max: 16,
    linear_a_log_min: 0,
  },
  ...{ linear_allow_neg_eigval: true, linear_conv_kernel_dim: 4, linear_dt_init_floor: 1e-4, linear_dt_max: 0.1, linear_dt_min: 1e-3 },
  ...{ linear_key_head_dim: 96, linear_num_key_heads: 30, linear_num_value_heads: 30, linear_value_head_dim: 192 },
  ...{ max_position_embeddings: 65536, num_attention_heads: 30, num_hidden_layers: 4, num_key_value_heads: 30, rms_norm_eps: 1e-6 },
  ...{ rope_parameters: null, rope_theta: null, tie_word_embeddings: false, use_cache: true, vocab_size: 100352 },
};

test('a published config is accepted, none of its keys is unknown, and no block rotates', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const config = decoderConfig('OlmoHybridForCausalLM', published);
  expect(config.delta).toMatchObject({ layers: [true, true, true, false], keyDim: 96, valueDim: 192, maxRate: 2, epsilon: 1e-5 });
  expect(config.positions).toEqual([undefined, undefined, undefined, undefined]);
  expect(decoderConfig('OlmoHybridForCausalLM', { ...published, layer_types: null }).delta).toEqual(config.delta);
});

test('sizes that are left out follow from others', () => {
  const none = { linear_num_key_heads: null, linear_num_value_heads: null, linear_key_head_dim: null, linear_value_head_dim: null };
  expect(read(none).delta).toMatchObject({ keyHeads: 4, heads: 4, keyDim: 6, valueDim: 12 });
  expect(read({ num_hidden_layers: 2, layer_types: null }).delta?.layers).toEqual([true, false]);
});

test.each<[ConfigJson, number | undefined]>([
  [{ rope_parameters: null, rope_theta: null }, undefined],
  [{ rope_parameters: { rope_type: 'default', rope_theta: null }, rope_theta: 500 }, undefined],
  [{ rope_parameters: null }, 10000],
  [{ rope_parameters: { rope_type: 'default', rope_theta: 500 }, rope_theta: null }, 500],
])('the base of %j', (changes, theta) => {
  expect(read(changes).positions.map(own => own?.theta)).toEqual([theta, theta, theta]);
});

test('norms stand before the parts of a block with a state, and after those of one with attention', () => {
  const { names } = read({});
  expect(Object.keys(names.block(0).norms)).toEqual(['beforeAttention', 'beforeMlp']);
  expect(Object.keys(names.block(1).norms)).toEqual(['afterAttention', 'afterMlp']);
});

/** The shapes of a file with three parts of the kernel. */
function fileWith(rows: readonly number[], config = saved('olmo_hybrid')) {
  const model = causalModel(config);
  const kernel = required(
    model.parameters.find(({ name }) => name === 'model.layers.0.linear_attn.conv1d.weight'),
    'the kernel',
  );
  const parts = ['q', 'k', 'v'].map(
    (part, i) => [`model.layers.0.linear_attn.${part}_conv1d.weight`, { shape: [rows[i] ?? 0, 1, 4] }] as const,
  );
  return { model, kernel, tensors: new Map(parts) };
}

test.each([[[16, 16, 32]], [[22, 22, 20]]])('a kernel in parts of %j rows is read, and exported in the same parts', rows => {
  const { model, kernel, tensors } = fileWith(rows);
  expect(weightMismatches({ ...model, parameters: [kernel] }, tensors)).toEqual([]);
  expect(heldTensors(kernel, tensors).names).toEqual([...tensors.keys()]);
  const stored = storedTensors([kernel], tensors, false);
  expect([...stored.values()].map(({ shape }) => shape[0])).toEqual(rows);
});

test('a kernel in other parts is reported by the sizes of queries, keys and values', () => {
  const { model, kernel, tensors } = fileWith([16, 32, 16]);
  const [first, second] = weightMismatches({ ...model, parameters: [kernel] }, tensors);
  expect(first).toMatch(/k_conv1d\.weight is \[32,1,4\] in the file, \[16,1,4\] by config\.json/);
  expect(second).toMatch(/v_conv1d\.weight is \[16,1,4\] in the file, \[32,1,4\] by config\.json/);
});

test.each<[ConfigJson, RegExp]>([
  [{ layer_types: ['full_attention', 'full_attention', 'full_attention'] }, /has blocks of both types/],
  [{ linear_num_value_heads: 3 }, /linear_num_value_heads 3 is not a multiple of linear_num_key_heads 4/],
  [{ layer_types: ['linear_attention', 'full_attention'] }, /layer_types has 2 entries for num_hidden_layers 3/],
  [{ layer_types: ['sliding_attention', 'full_attention', 'linear_attention'] }, /layer_types\.0 "sliding_attention" is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
