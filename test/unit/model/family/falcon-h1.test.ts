/** Falcon-H1: what its config gives each block, the published config, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));
const read = (changes: ConfigJson) => decoderConfig('FalconH1ForCausalLM', { ...saved('falcon_h1'), ...changes });

/** Falcon-H1-0.5B-Instruct, with two blocks. */
const published: ConfigJson = {
  ...{ architectures: ['FalconH1ForCausalLM'], model_type: 'falcon_h1', torch_dtype: 'bfloat16', transformers_version: '4.52.0.dev0' },
  ...{
    attention_bias: false,
    attention_dropout: 0,
    attention_in_multiplier: 1,
    attention_out_multiplier: 0.9375,
    attn_layer_indices: null,
  },
  ...{ bos_token_id: 1, eos_token_id: 11, pad_token_id: 0, embedding_multiplier: 5.656854249492381, lm_head_multiplier: 0.0390625 },
  ...{ head_dim: 64, hidden_act: 'silu', hidden_size: 1024, initializer_range: 0.02, intermediate_size: 2048, key_multiplier: 0.390625 },
  ...{ mamba_chunk_size: 128, mamba_conv_bias: true, mamba_d_conv: 4, mamba_d_head: 64, mamba_d_ssm: 1536, mamba_d_state: 128 },
  ...{ mamba_expand: 2, mamba_n_groups: 1, mamba_n_heads: 24, mamba_norm_before_gate: false, mamba_proj_bias: false },
  ...{ mamba_rms_norm: false, mamba_use_mlp: true, max_position_embeddings: 16384, mlp_bias: false, mlp_expansion_factor: 8 },
  ...{ mlp_multipliers: [0.8838834764831844, 0.5859375], num_attention_heads: 8, num_hidden_layers: 2, num_key_value_heads: 2 },
  ...{ num_logits_to_keep: 1, projectors_bias: false, rms_norm_eps: 1e-5, rope_scaling: null, rope_theta: 1e11 },
  ...{ ssm_in_multiplier: 1.25, ssm_multipliers: [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738] },
  ...{ ssm_out_multiplier: 0.23570226039551587, tie_word_embeddings: false, use_cache: true, vocab_size: 32784 },
};

test('a published config is accepted, and none of its keys is unknown', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const config = decoderConfig('FalconH1ForCausalLM', published);
  expect(config.mamba).toMatchObject({ heads: 24, headDim: 64, stateDim: 128, norm: undefined });
  expect(config.attention.scale).toBe(0.390625 / 8);
  expect(config.positions.map(own => own?.theta)).toEqual([1e11, 1e11]);
  expect(config.paddingRow).toBe(0);
});

test('a block caches keys and values, and a state', () => {
  const model = causalModel(saved('falcon_h1'));
  expect(model.keyValues.map(own => own?.headDim)).toEqual([12, 12]);
  expect(model.states?.get(1)).toEqual({ recent: [3, 60], memory: [1, 6, 48] });
});

test('the norm of the heads stands after the gate or before it, and biases are those of their own keys', () => {
  expect(read({ mamba_rms_norm: true, mamba_norm_before_gate: false }).mamba?.norm).toBe('after gate');
  expect(read({ mamba_rms_norm: true }).mamba?.norm).toBe('before gate');
  const { mamba, attention, mlp } = read({ projectors_bias: true });
  expect(mamba?.biases).toEqual({ input: false, output: true, convolution: true });
  expect([attention.biases.output, mlp.biased]).toEqual([false, false]);
});

test('an endless time step is the object of Transformers 5, or the bare word of Transformers 4', () => {
  const steps = { least: 0, most: Number.POSITIVE_INFINITY };
  expect(read({}).mamba?.steps).toEqual(steps);
  expect(read({ time_step_limit: [0, Number.POSITIVE_INFINITY] }).mamba?.steps).toEqual(steps);
});

test.each<[ConfigJson, RegExp]>([
  [{ mamba_d_ssm: 40 }, /mamba_n_heads 4 of 12 features are not mamba_d_ssm, 40/],
  [{ mamba_d_ssm: null }, /mamba_n_heads 4 of 12 features are not mamba_expand · hidden_size, 64/],
  [{ mamba_n_groups: 3 }, /mamba_n_heads 4 is not a multiple of mamba_n_groups 3/],
  [{ ssm_multipliers: [1, 1] }, /ssm_multipliers/],
  [{ attn_layer_indices: [0] }, /attn_layer_indices \[0\] is not supported/],
  [{ mamba_use_mlp: false }, /mamba_use_mlp false is not supported/],
  [{ layer_types: ['hybrid', 'mamba'] }, /layer_types \["hybrid","mamba"\] is not supported; supported is "hybrid" in every layer/],
  [{ sliding_window: 8 }, /sliding_window 8 is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
