/** StableLM: the published config, blocks whose parts run side by side, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

const published: ConfigJson = {
  ...{ architectures: ['StableLmForCausalLM'], bos_token_id: 100257, eos_token_id: 100257, hidden_act: 'silu', hidden_size: 2048 },
  ...{ initializer_range: 0.02, intermediate_size: 5632, layer_norm_eps: 1e-5, max_position_embeddings: 4096, model_type: 'stablelm' },
  ...{ num_attention_heads: 32, num_hidden_layers: 24, num_key_value_heads: 32, partial_rotary_factor: 0.25, rope_theta: 10000 },
  ...{ tie_word_embeddings: false, torch_dtype: 'float16', transformers_version: '4.38.0', use_cache: true, use_qkv_bias: true },
  ...{ vocab_size: 100352 },
};
const read = (changes: ConfigJson) => decoderConfig('StableLmForCausalLM', { ...published, ...changes });

test('the keys of a published config are known, and a quarter of each head turns, also where the key is left out', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  expect(read({})).toMatchObject({ sideBySide: false, positions: { 0: { theta: 10000, features: 16 } } });
  expect(read({}).attention.biases).toEqual({ qkv: true, output: false });
  const { partial_rotary_factor: _, ...without } = published;
  expect(decoderConfig('StableLmForCausalLM', without)).toEqual(read({}));
});

test('attention and MLP side by side read one norm', () => {
  const { sideBySide, names } = read({ use_parallel_residual: true });
  expect([sideBySide, names.block(0).norms]).toEqual([true, { beforeAttention: 'model.layers.0.input_layernorm' }]);
});

test('one rate drops of the MLP alone', () => {
  expect(read({ hidden_dropout: 0.1 })).toMatchObject({ residualDropout: 0, mlpDropout: 0.1 });
});

test.each<[ConfigJson, RegExp]>([
  [{ qk_layernorm: true }, /qk_layernorm true is not supported; supported is false/],
  [{ head_dim: 32 }, /head_dim 32 is not supported; supported is 64/],
  [{ rope_pct: 0.5 }, /rope_pct 0.5 is not supported; supported is 0.25/],
  [{ norm_eps: 1e-6 }, /norm_eps 0.000001 is not supported; supported is 0.00001/],
  [{ sliding_window: 5 }, /sliding_window 5 is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
