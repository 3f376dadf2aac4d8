/** Phi: the published configs, a head with a bias, norms of queries and keys, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

const published: ConfigJson = {
  ...{ architectures: ['PhiForCausalLM'], attention_dropout: 0, bos_token_id: 50256, embd_pdrop: 0, eos_token_id: 50256 },
  ...{ hidden_act: 'gelu_new', hidden_size: 2560, initializer_range: 0.02, intermediate_size: 10240, layer_norm_eps: 1e-5 },
  ...{ max_position_embeddings: 2048, model_type: 'phi', num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
  ...{ partial_rotary_factor: 0.4, qk_layernorm: false, resid_pdrop: 0.1, rope_scaling: null, rope_theta: 10000 },
  ...{ tie_word_embeddings: false, torch_dtype: 'float16', transformers_version: '4.37.0', use_cache: true, vocab_size: 51200 },
};
const read = (changes: ConfigJson) => decoderConfig('PhiForCausalLM', { ...published, ...changes });

test('the keys of a published config are known; half of each head rotates where the key is left out', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  expect(read({})).toMatchObject({
    sideBySide: true,
    residualDropout: 0.1,
    mlpDropout: 0.1,
    positions: { 0: { theta: 10000, features: 32 } },
  });
  const { partial_rotary_factor: _, ...without } = published;
  expect(decoderConfig('PhiForCausalLM', without)).toMatchObject({ positions: { 0: { features: 40 } } });
});

test('the head has a bias, and one norm is read by attention and MLP', () => {
  const { head, parameters } = causalModel({ ...published, num_hidden_layers: 1 });
  expect(head.bias).toEqual({ name: 'lm_head.bias', shape: [51200] });
  expect(parameters.map(({ name }) => name).filter(name => name.includes('norm'))).toEqual([
    ...['model.layers.0.input_layernorm.weight', 'model.layers.0.input_layernorm.bias'],
    ...['model.final_layernorm.weight', 'model.final_layernorm.bias'],
  ]);
});

test('queries and keys may have layer norms', () => {
  const { parameters } = causalModel({ ...published, num_hidden_layers: 1, qk_layernorm: true });
  expect(parameters).toContainEqual({ name: 'model.layers.0.self_attn.k_layernorm.bias', shape: [80] });
});

test.each<[ConfigJson, RegExp]>([
  [{ tie_word_embeddings: true }, /tie_word_embeddings true is not supported; supported is false/],
  [{ attention_bias: false }, /attention_bias false is not supported; supported is true/],
  [{ sliding_window: 5 }, /sliding_window 5 is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
