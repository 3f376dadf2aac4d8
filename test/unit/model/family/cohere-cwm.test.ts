/** Cohere and CWM: published configs and defaults, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

/** Keys as in the files of Aya Expanse 8B. */
const aya: ConfigJson = {
  ...{ architectures: ['CohereForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 5, eos_token_id: 255001 },
  ...{ hidden_act: 'silu', hidden_size: 4096, initializer_range: 0.02, intermediate_size: 14336, layer_norm_eps: 1e-5, logit_scale: 0.125 },
  ...{ max_position_embeddings: 8192, model_type: 'cohere', num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
  ...{ pad_token_id: 0, rope_theta: 10000, torch_dtype: 'float16', use_cache: true, use_qk_norm: false, vocab_size: 256000 },
};

test('Cohere: a published config is known, every block sees and rotates everything, and the head is the embedding', () => {
  expect(unknownConfigKeys(aya)).toEqual([]);
  const config = decoderConfig('CohereForCausalLM', aya);
  expect(config).toMatchObject({ sideBySide: true, tied: true, logitMultiplier: 0.125, attention: { rotatesNeighbors: true } });
  expect(new Set(config.attention.layers.map(({ window }) => window))).toEqual(new Set([undefined]));
  expect(config.positions.every(own => own?.theta === 10000)).toBe(true);
  const { rope_theta: _, ...without } = aya;
  expect(decoderConfig('CohereForCausalLM', without).positions[0]?.theta).toBe(500_000);
});

test('CWM: without keys, the first of four blocks sees everything, and positions are stretched', () => {
  const { hiddenSize, blocks, attention, positions } = decoderConfig('CwmForCausalLM', { model_type: 'cwm' });
  expect([hiddenSize, blocks, attention.heads]).toEqual([6144, 64, 48]);
  expect(attention.layers.slice(0, 5).map(({ window }) => window)).toEqual([undefined, 8192, 8192, 8192, undefined]);
  expect(positions[0]).toMatchObject({ theta: 1_000_000, scaling: { type: 'llama3', factor: 16 } });
});

test.each<['CohereForCausalLM' | 'CwmForCausalLM', ConfigJson, RegExp]>([
  ['CohereForCausalLM', { ...aya, use_qk_norm: true }, /use_qk_norm true is not supported; supported is false/],
  ['CohereForCausalLM', { ...aya, sliding_window: 4096 }, /sliding_window 4096 is not supported/],
  ['CohereForCausalLM', { ...aya, sliding_window_pattern: 4 }, /sliding_window_pattern 4 is not supported/],
  ['CwmForCausalLM', { attention_bias: true }, /attention_bias true is not supported/],
  ['CwmForCausalLM', { sliding_window: null }, /sliding_window is null, and 48 of the 64 layers of this family have a window/],
])('%s: %j is refused', (architecture, config, message) => {
  expect(() => decoderConfig(architecture, config)).toThrow(message);
});
