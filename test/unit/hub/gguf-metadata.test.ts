/** Tests metadata of GGUF files that one family reads differently from others, or that no family accepts. */
import { expect, test } from 'vitest';
import { ggufConfig } from '../../../trainer/format/gguf/gguf-config.ts';
import type { GgufValue } from '../../../trainer/format/gguf/gguf-cursor.ts';

const configOf = (architecture: string, changes: Readonly<Record<string, GgufValue>>) => {
  const own: Readonly<Record<string, GgufValue>> = {
    ...{ embedding_length: 64, feed_forward_length: 64, context_length: 64, block_count: 1 },
    ...{ 'attention.head_count': 4, 'attention.layer_norm_rms_epsilon': 1e-6, ...changes },
  };
  const metadata = new Map<string, GgufValue>([['general.architecture', architecture]]);
  for (const [key, value] of Object.entries(own)) metadata.set(`${architecture}.${key}`, value);
  const header = { version: 3, metadata, tensors: [] };
  return ggufConfig({ path: 'x.gguf', header, tensors: new Map(), ropeFactors: undefined, ropeFactorsByLength: undefined });
};

test('a Granite that turns nothing is refused, and others may say how they were trained', () => {
  const changes = { 'rope.scaling.finetuned': false };
  expect(configOf('llama', changes)).toMatchObject({ architectures: ['LlamaForCausalLM'] });
  expect(configOf('granite', { 'rope.scaling.finetuned': true })).toMatchObject({ architectures: ['GraniteForCausalLM'] });
  expect(() => configOf('granite', changes)).toThrow(/granite\.rope\.scaling\.finetuned false is not supported; supported is true/);
});

test('norms of Cohere 2 have an epsilon of their own, which is missed by its name', () => {
  const window = { 'attention.sliding_window': 32 };
  expect(() => configOf('cohere2', window)).toThrow(/cohere2\.attention\.layer_norm_epsilon is missing/);
  const epsilon = Math.fround(1e-5);
  expect(configOf('cohere2', { ...window, 'attention.layer_norm_epsilon': epsilon })).toMatchObject({ layer_norm_eps: 1e-5 });
});

test('no list of more blocks than a model has is made', () => {
  expect(() => configOf('qwen35', { block_count: 100_000 })).toThrow(/qwen35\.block_count 100000 is above 512/);
});

test('blocks that guess further tokens are no blocks of the model, in the families that have them', () => {
  expect(configOf('qwen35', { block_count: 5, nextn_predict_layers: 1 })).toMatchObject({ num_hidden_layers: 4 });
  expect(configOf('qwen35', { block_count: 4, nextn_predict_layers: 0 })).toMatchObject({ num_hidden_layers: 4 });
  for (const count of [4, 7, 0.5])
    expect(() => configOf('qwen35', { block_count: 4, nextn_predict_layers: count })).toThrow(
      /qwen35\.nextn_predict_layers is not a whole number below qwen35\.block_count 4/,
    );
  expect(() => configOf('qwen3', { nextn_predict_layers: 1 })).toThrow(/qwen3\.nextn_predict_layers 1 is not supported/);
});

test('experts that are chosen by sigmoids: what a file leaves out is as llama.cpp reads it, and another choice is refused', () => {
  const experts = { expert_count: 8, expert_used_count: 2, expert_feed_forward_length: 32 };
  const glm = { ...experts, expert_shared_count: 1, expert_weights_scale: 1.5, 'rope.dimension_count': 8 };
  expect(configOf('glm4moe', { ...glm, expert_group_count: 4, expert_group_used_count: 2, expert_weights_norm: true })).toMatchObject({
    ...{ architectures: ['Glm4MoeForCausalLM'], n_group: 4, topk_group: 2, norm_topk_prob: true, routed_scaling_factor: 1.5 },
    ...{ first_k_dense_replace: 0, partial_rotary_factor: 0.5, use_qk_norm: false, attention_bias: false },
  });
  expect(configOf('glm4moe', { ...glm, leading_dense_block_count: 1 })).toMatchObject({
    ...{ n_group: 1, topk_group: 1, norm_topk_prob: false, first_k_dense_replace: 1 },
  });
  expect(() => configOf('glm4moe', { ...glm, expert_gating_func: 1 })).toThrow(
    /glm4moe\.expert_gating_func 1 is not supported; supported is 2/,
  );
  const lfm2 = { ...experts, 'shortconv.l_cache': 3 };
  expect(() => configOf('lfm2moe', lfm2)).toThrow(/lfm2moe\.expert_gating_func is missing; supported is 2, sigmoids/);
  expect(configOf('lfm2moe', { ...lfm2, expert_gating_func: 2 })).toMatchObject({ use_expert_bias: true, num_dense_layers: 0 });
});

test('Gemma 3n: what llama.cpp does not read from the file has the values of the published models, or is refused by name', () => {
  const usual = { block_count: 25, 'attention.sliding_window': 512, 'attention.key_length': 16 };
  const windowed = Array.from({ length: 25 }, (_, i) => i % 5 !== 4);
  const cutoffs = windowed.map((_, i) => (i < 10 ? Math.fround(1.6448536) : Number.NEGATIVE_INFINITY));
  const stated = { 'altup.num_inputs': 4, 'altup.active_idx': 0, embedding_length_per_layer_input: 256, final_logit_softcapping: 30 };
  const whole = {
    ...stated,
    'attention.shared_kv_layers': 5,
    'attention.sliding_window_pattern': windowed,
    activation_sparsity_scale: cutoffs,
  };
  const expected = { architectures: ['Gemma3nForCausalLM'], num_kv_shared_layers: 5, laurel_rank: 64, rope_local_base_freq: 10000 };
  expect(configOf('gemma3n', usual)).toMatchObject(expected);
  expect(configOf('gemma3n', { ...usual, ...whole, feed_forward_length: Array(25).fill(64) })).toEqual(configOf('gemma3n', usual));
  for (const [key, value] of Object.entries({
    ...{ 'altup.num_inputs': 3, 'altup.active_idx': 1, 'attention.shared_kv_layers': 4, final_logit_softcapping: 20 },
    'attention.sliding_window_pattern': windowed.map(each => !each),
    activation_sparsity_scale: cutoffs.map(() => Math.fround(1.6448536)),
  }))
    expect(() => configOf('gemma3n', { ...usual, [key]: value })).toThrow(`gemma3n.${key} `);
});
