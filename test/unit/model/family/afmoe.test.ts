/** AFMoE (Trinity): what its config gives each block, the published config, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));
const read = (changes: ConfigJson) => decoderConfig('AfmoeForCausalLM', { ...saved('afmoe'), ...changes });

/** Keys as in Trinity's files, with four blocks. */
const published: ConfigJson = {
  ...{ architectures: ['AfmoeForCausalLM'], model_type: 'afmoe', attention_dropout: 0, dtype: 'bfloat16', global_attn_every_n_layers: 4 },
  ...{ head_dim: 128, hidden_act: 'silu', hidden_size: 2048, initializer_range: 0.02, intermediate_size: 6144, load_balance_coeff: 0.001 },
  ...{ layer_types: ['sliding_attention', 'sliding_attention', 'sliding_attention', 'full_attention'], max_position_embeddings: 131072 },
  ...{ moe_intermediate_size: 1024, mup_enabled: true, n_group: 1, num_attention_heads: 32, num_dense_layers: 2, num_expert_groups: 1 },
  ...{
    num_experts: 128,
    num_experts_per_tok: 8,
    num_hidden_layers: 4,
    num_key_value_heads: 4,
    num_limited_groups: 1,
    num_shared_experts: 1,
  },
  ...{ rms_norm_eps: 1e-5, rope_scaling: null, rope_theta: 10000, route_norm: true, route_scale: 2.826, score_func: 'sigmoid' },
  ...{ sliding_window: 2048, tie_word_embeddings: false, topk_group: 1, use_cache: true, use_grouped_mm: true, vocab_size: 200192 },
};

test('a published config is accepted, and none of its keys is unknown', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const { experts, embeddingMultiplier, attention, positions } = decoderConfig('AfmoeForCausalLM', published);
  expect(experts).toMatchObject({ count: 128, chosen: 8, sumsToOne: true, layers: [false, false, true, true] });
  expect(experts?.scoring).toMatchObject({ of: 'sigmoid', factor: 2.826 });
  expect(embeddingMultiplier.factor).toBe(Math.sqrt(2048));
  expect(attention.layers.map(({ window }) => window)).toEqual([2048, 2048, 2048, undefined]);
  expect(positions.map(own => own?.theta)).toEqual([10000, 10000, 10000, undefined]);
  expect(decoderConfig('AfmoeForCausalLM', { ...published, layer_types: null }).positions).toEqual(positions);
});

test('each feature of attention has a gate, from a layer without a bias, and the bias of the choice is not trained', () => {
  const { modules, parameters } = causalModel({ ...saved('afmoe'), attention_bias: true });
  const gate = modules.find(({ name }) => name === 'model.layers.0.self_attn.gate_proj');
  expect(gate?.weight.shape).toEqual([48, 32]);
  expect(gate?.bias).toBeUndefined();
  expect(gate?.head).toEqual({ rows: 12 });
  expect(parameters.find(({ name }) => name === 'model.layers.1.mlp.expert_bias')).toMatchObject({ buffer: true, float32: true });
});

test.each<[ConfigJson, RegExp]>([
  [{ score_func: 'softmax' }, /score_func "softmax" is not supported; supported is "sigmoid"/],
  [{ route_norm: false }, /route_norm false is not supported/],
  [{ n_group: 2 }, /n_group 2 is not supported/],
  [{ num_experts_per_tok: 7 }, /num_experts_per_tok 7 is above num_experts 6/],
  [{ sliding_window: null }, /sliding_window is null, and layer_types has "sliding_attention"/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
