/** StarCoder2: the published config, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

const published: ConfigJson = {
  ...{ architectures: ['Starcoder2ForCausalLM'], attention_dropout: 0.1, bos_token_id: 0, embedding_dropout: 0.1, eos_token_id: 0 },
  ...{ hidden_act: 'gelu_pytorch_tanh', hidden_size: 3072, initializer_range: 0.018042, intermediate_size: 12288, mlp_type: 'default' },
  ...{ max_position_embeddings: 16384, model_type: 'starcoder2', norm_epsilon: 1e-5, norm_type: 'layer_norm', num_attention_heads: 24 },
  ...{ num_hidden_layers: 30, num_key_value_heads: 2, residual_dropout: 0.1, rope_theta: 999999.4420358813, sliding_window: 4096 },
  ...{ transformers_version: '4.37.0.dev0', use_bias: true, use_cache: true, vocab_size: 49152 },
};
const read = (changes: ConfigJson) => decoderConfig('Starcoder2ForCausalLM', { ...published, ...changes });

test('the keys of a published config are known, and all blocks have its window, its biases and its norms', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const { attention, mlp, norms, tied, ...own } = read({});
  expect([own.residualDropout, own.embeddingDropout, attention.dropout, tied]).toEqual([0.1, 0.1, 0.1, true]);
  expect(new Set(attention.layers.map(({ window }) => window))).toEqual(new Set([4096]));
  expect([attention.biases, mlp.biased]).toEqual([{ qkv: true, output: true }, true]);
  expect(norms).toEqual({ epsilon: 1e-5, offset: 0, centered: true, shifted: true });
});

test.each<[ConfigJson, RegExp]>([
  [{ mlp_type: 'gated' }, /mlp_type "gated" is not supported; supported is "default"/],
  [{ norm_type: 'rms_norm' }, /norm_type "rms_norm" is not supported/],
  [{ layer_types: ['full_attention'] }, /layer_types .* is not supported; supported is "sliding_attention" in every layer/],
  [{ hidden_act: 'other' }, /hidden_act "other" is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
