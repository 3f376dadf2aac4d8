/** The first Gemma: the published config, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

const published: ConfigJson = {
  ...{ architectures: ['GemmaForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 2, eos_token_id: 1, head_dim: 256 },
  ...{ hidden_act: 'gelu', hidden_size: 2048, initializer_range: 0.02, intermediate_size: 16384, max_position_embeddings: 8192 },
  ...{ model_type: 'gemma', num_attention_heads: 8, num_hidden_layers: 18, num_key_value_heads: 1, pad_token_id: 0, rms_norm_eps: 1e-6 },
  ...{ rope_scaling: null, rope_theta: 10000, torch_dtype: 'bfloat16', use_cache: true, vocab_size: 256000 },
};
const read = (changes: ConfigJson) => decoderConfig('GemmaForCausalLM', { ...published, ...changes });

test('the keys of a published config are known, and its activation is the approximation that Transformers takes', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const { mlp, norms, tied, embeddingMultiplier } = read({});
  expect([mlp.activation, norms, tied]).toEqual(['gelu_pytorch_tanh', { epsilon: 1e-6, offset: 1 }, true]);
  expect(embeddingMultiplier).toEqual({ factor: Math.sqrt(2048), rounded: true });
  expect(read({ hidden_act: 'silu' }).mlp.activation).toBe('silu');
});

test.each<[ConfigJson, RegExp]>([
  [{ use_bidirectional_attention: true }, /use_bidirectional_attention true is not supported/],
  [{ sliding_window: 5 }, /sliding_window 5 is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
