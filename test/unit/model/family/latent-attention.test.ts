/**
 * Tests multi-head latent attention: published configs, what is refused, the scale of its scores, its cache, and the kernel that needs
 * equal widths.
 */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coupledGroups } from '../../../../trainer/coupling/coupled-groups.ts';
import { selectCoupled, trainedGroups } from '../../../../trainer/coupling/coupling.ts';
import { cacheVariables } from '../../../../trainer/generate/decode-program.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { targetModules } from '../../../../trainer/method/targets.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { attention } from '../../../../trainer/model/layer/attention/attention.ts';
import { causalModel, loadModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));

describe('published configs', () => {
  test('GLM-4.7-Flash', () => {
    const config = {
      ...{ architectures: ['Glm4MoeLiteForCausalLM'], attention_bias: false, attention_dropout: 0, pad_token_id: 154820 },
      ...{ eos_token_id: [154820, 154827, 154829], hidden_act: 'silu', hidden_size: 2048, intermediate_size: 10240, dtype: 'bfloat16' },
      ...{ max_position_embeddings: 202752, model_type: 'glm4_moe_lite', moe_intermediate_size: 1536, topk_method: 'noaux_tc' },
      ...{ norm_topk_prob: true, num_attention_heads: 20, n_group: 1, topk_group: 1, n_routed_experts: 64, n_shared_experts: 1 },
      ...{ routed_scaling_factor: 1.8, num_experts_per_tok: 4, first_k_dense_replace: 1, num_hidden_layers: 3, num_key_value_heads: 20 },
      ...{ num_nextn_predict_layers: 1, partial_rotary_factor: 1, rms_norm_eps: 1e-5, rope_scaling: null, rope_theta: 1e6 },
      ...{ tie_word_embeddings: false, transformers_version: '5.0.0rc0', q_lora_rank: 768, kv_lora_rank: 512, qk_nope_head_dim: 192 },
      ...{ qk_rope_head_dim: 64, v_head_dim: 256, vocab_size: 154880 },
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { attention, latent, experts, positions } = decoderConfig('Glm4MoeLiteForCausalLM', config);
    expect(latent).toEqual({ queryRank: 768, rank: 512, nopeDim: 192, ropeDim: 64, valueDim: 256 });
    expect([attention.scale, attention.rotatesNeighbors, positions[0]?.features]).toEqual([1 / 16, true, 64]);
    expect(experts).toMatchObject({ count: 64, chosen: 4, layers: [false, true, true], scoring: { factor: 1.8 } });
  });

  test('DeepSeek-V3 has scores that grow with the stretch of its positions', () => {
    const rope = {
      beta_fast: 32,
      beta_slow: 1,
      factor: 40,
      mscale: 1,
      mscale_all_dim: 1,
      original_max_position_embeddings: 4096,
      type: 'yarn',
    };
    const config = {
      ...{
        architectures: ['DeepseekV3ForCausalLM'],
        auto_map: {},
        aux_loss_alpha: 0.001,
        ep_size: 1,
        first_k_dense_replace: 3,
        seq_aux: true,
      },
      ...{ max_position_embeddings: 163840, moe_layer_freq: 1, num_hidden_layers: 4, num_nextn_predict_layers: 1, pretraining_tp: 1 },
      ...{ quantization_config: { activation_scheme: 'dynamic', fmt: 'e4m3', quant_method: 'fp8', weight_block_size: [128, 128] } },
      ...{ rope_scaling: rope, scoring_func: 'sigmoid', topk_method: 'noaux_tc' },
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { attention, experts, positions } = decoderConfig('DeepseekV3ForCausalLM', config);
    expect(attention.scale).toBeCloseTo(192 ** -0.5 * (0.1 * Math.log(40) + 1) ** 2, 12);
    expect(positions[0]?.factor).toBe(1);
    expect(experts).toMatchObject({
      count: 256,
      chosen: 8,
      scoring: { groups: { count: 8, chosen: 4 } },
      layers: [false, false, false, true],
    });
  });

  test('Mistral Small 4: queries grow with their position, and a part of each head rotates', () => {
    const rope = {
      ...{ beta_fast: 32, beta_slow: 1, factor: 128, llama_4_scaling_beta: 0.1, max_position_embeddings: 1048576, mscale: 1 },
      ...{ mscale_all_dim: 1, original_max_position_embeddings: 8192, partial_rotary_factor: 0.5, rope_theta: 10000, rope_type: 'yarn' },
    };
    const config = {
      ...{ architectures: ['Mistral4ForCausalLM'], attention_bias: false, attention_dropout: 0, first_k_dense_replace: 0, head_dim: 128 },
      ...{ hidden_act: 'silu', hidden_size: 4096, intermediate_size: 12288, kv_lora_rank: 256, max_position_embeddings: 1048576 },
      ...{ model_type: 'mistral4', moe_intermediate_size: 2048, n_group: 1, n_routed_experts: 128, n_shared_experts: 1 },
      ...{ norm_topk_prob: true, num_attention_heads: 32, num_experts_per_tok: 4, num_hidden_layers: 2, num_key_value_heads: 32 },
      ...{ q_lora_rank: 1024, qk_head_dim: 128, qk_nope_head_dim: 64, qk_rope_head_dim: 64, rms_norm_eps: 1e-6, rope_interleave: true },
      ...{ rope_parameters: rope, routed_scaling_factor: 1, sliding_window: null, tie_word_embeddings: false, topk_group: 1 },
      ...{ use_cache: true, v_head_dim: 128, vocab_size: 131072 },
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { attention, experts, latent, positions } = decoderConfig('Mistral4ForCausalLM', config);
    expect(latent).toEqual({ queryRank: 1024, rank: 256, nopeDim: 64, ropeDim: 64, valueDim: 128 });
    expect(attention.scale).toBeCloseTo(128 ** -0.5 * (0.1 * Math.log(128) + 1) ** 2, 12);
    expect(positions[0]).toMatchObject({ features: 64, factor: 1, growth: { beta: 0.1, span: 8192 } });
    expect(experts).toMatchObject({ count: 128, chosen: 4, sumsToOne: true, layers: [true, true], scoring: { of: 'softmax' } });
    expect(experts?.choiceBias).toBeUndefined();
    const image = { architectures: ['Mistral3ForConditionalGeneration'], text_config: { ...config, architectures: undefined } };
    expect(causalModel(image).family).toBe('mistral4');
  });

  test('Moonlight makes queries of the states', () => {
    const config = {
      ...saved('deepseek_v3'),
      q_lora_rank: null,
      rope_parameters: undefined,
      rope_scaling: null,
      n_group: 1,
      topk_group: 1,
    };
    const names = causalModel(config).modules.map(({ name }) => name.replace('model.layers.0.self_attn.', ''));
    expect(names.slice(2, 7)).toEqual(['q_proj', 'kv_a_proj_with_mqa', 'kv_a_layernorm', 'kv_b_proj', 'o_proj']);
  });
});

test.each<[string, ConfigJson, RegExp]>([
  [
    'deepseek_v3',
    { num_key_value_heads: 2 },
    /num_key_value_heads 2 is not num_attention_heads 4: each head has keys and values of its own/,
  ],
  ['deepseek_v3', { head_dim: 8 }, /head_dim 8 is not qk_rope_head_dim 4/],
  ['deepseek_v3', { qk_rope_head_dim: 3, head_dim: 3 }, /head_dim 3 is odd/],
  ['deepseek_v3', { topk_method: 'greedy' }, /topk_method "greedy" is not supported; supported is "noaux_tc"/],
  ['deepseek_v2', { topk_method: 'group_limited_greedy' }, /topk_method "group_limited_greedy" is not supported; supported is "greedy"/],
  ['deepseek_v2', { norm_topk_prob: true }, /norm_topk_prob true is not supported/],
  ['deepseek_v3', { index_topk: 2048 }, /index_topk 2048 is not supported/],
  ['mistral4', { head_dim: 8 }, /head_dim 8 is not qk_head_dim 16/],
  [
    'mistral4',
    { rope_parameters: null, rope_scaling: { type: 'yarn', factor: 4, llama_4_scaling_beta: 0.1, partial_rotary_factor: 0.5 } },
    /partial_rotary_factor 0.5 of a head of 16 features is not qk_rope_head_dim 4/,
  ],
  [
    'mistral4',
    { rope_parameters: { rope_type: 'default', llama_4_scaling_beta: 0.1 } },
    /rope_type "default" is not supported; supported is "yarn"/,
  ],
  ['mistral4', { scoring_func: 'sigmoid' }, /scoring_func "sigmoid" is not supported/],
  ['glm4_moe_lite', { partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5 is not supported/],
  ['glm4_moe_lite', { mlp_layer_types: ['sparse'] }, /mlp_layer_types has 1 entries for num_hidden_layers 2/],
  ['glm4_moe_lite', { mlp_layer_types: null, first_k_dense_replace: 2 }, /first_k_dense_replace 2 is not supported/],
])('%s %j is refused by name', (name, changes, message) => {
  expect(() => causalModel({ ...saved(name), ...changes })).toThrow(message);
});

test.each([
  ['DeepseekV32ForCausalLM', { index_topk: 64, kv_lora_rank: 8 }, 'an indexer that chooses the keys of each query'],
  ['GlmMoeDsaForCausalLM', {}, 'an indexer that chooses the keys of each query'],
  ['KimiK2ForCausalLM', {}, 'multi-head latent attention of this kind'],
])('%s needs what is missing here', (architecture, config, needs) => {
  const message = `${architecture}, which is not supported: it needs ${needs}`;
  expect(() => loadModel({ architectures: [architecture], ...config })).toThrow(message);
  expect(() => loadModel({ architectures: [architecture], ...config })).toThrow('the nearest supported class is DeepseekV3ForCausalLM');
});

test('the cache holds the keys and values of each head, in their own widths', () => {
  const model = causalModel(saved('deepseek_v3'));
  expect(cacheVariables(model, { tokens: 64, slots: 2 }).map(({ name, shape }) => [name, shape])).toEqual([
    ['cache/0/k', [512, 12]],
    ['cache/0/v', [512, 6]],
    ['cache/1/k', [512, 12]],
    ['cache/1/v', [512, 6]],
  ]);
});

test('the part of the keys that all heads share belongs to no head, and is chosen feature by feature', () => {
  const model = causalModel({ ...saved('deepseek_v3'), qk_rope_head_dim: 8, head_dim: 8 });
  const targets = targetModules(model, { targetModules: ['/layers.0.self_attn/'], freeze: [] });
  const groups = trainedGroups(coupledGroups(model), targets, false);
  const scores = new Map(targets.map(({ name, weight }) => [name, Float32Array.from({ length: elementAt(weight.shape, 0) }, (_, i) => i)]));
  const selection = selectCoupled(groups, targets, scores, { budget: { ratio: 0.25 }, heads: true });
  const chosen = (name: string) => [...required(selection.get(`model.layers.0.self_attn.${name}`), name)];
  // One of the four rotary pairs: rows of all heads, and of the keys after the latent vector of 12.
  expect(chosen('kv_a_proj_with_mqa').filter(row => row >= 12)).toEqual([18, 19]);
  expect(chosen('q_b_proj').filter(row => row % 16 >= 8)).toEqual([14, 15, 30, 31, 46, 47, 62, 63]);
  // The last head: its queries, and with them its keys and values.
  expect(chosen('q_b_proj').filter(row => row % 16 < 8)).toEqual(Array.from({ length: 8 }, (_, i) => 48 + i));
  expect(chosen('kv_b_proj')).toEqual(Array.from({ length: 14 }, (_, i) => 42 + i));
});

test("a device's kernel takes values that are narrower than keys, filled up", () => {
  const graph = new Graph();
  const of = (name: string, width: number) => graph.feed(name, [2, 4, 16, width]);
  const params = {
    q: of('q', 24),
    k: of('k', 24),
    scale: 1,
    mask: { kind: 'causal' },
    chunk: 128,
    compute: 'bfloat16',
    fused: true,
  } as const;
  const kernels = () => graph.nodes.filter(({ op }) => op === 'attention').length;
  expect(attention(graph, { ...params, v: of('v', 16) }).shape).toEqual([2, 4, 16, 16]);
  expect(kernels()).toBeGreaterThan(0);
  const before = kernels();
  expect(attention(graph, { ...params, v: of('wide', 32) }).shape).toEqual([2, 4, 16, 32]);
  expect(kernels()).toBe(before);
});
