/** Models that compute Llama under names of their own, and Granite 3 and Qwen 2 with experts. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

const tokens: ConfigJson = { bos_token_id: 1, eos_token_id: 2, torch_dtype: 'bfloat16', transformers_version: '4.47.1', use_cache: true };
const internLm3: ConfigJson = {
  ...{ ...tokens, architectures: ['InternLM3ForCausalLM'], attention_dropout: 0, bias: false, head_dim: 128, hidden_act: 'silu' },
  ...{ hidden_size: 4096, initializer_range: 0.02, intermediate_size: 10240, max_position_embeddings: 32768, model_type: 'internlm3' },
  ...{ num_attention_heads: 32, num_hidden_layers: 48, num_key_value_heads: 2, pad_token_id: 2, qkv_bias: false, rms_norm_eps: 1e-5 },
  ...{ rope_scaling: { factor: 6, rope_type: 'dynamic' }, rope_theta: 5e7, tie_word_embeddings: false, vocab_size: 128512 },
};
const iquestCoder: ConfigJson = {
  ...{ ...tokens, architectures: ['IQuestCoderForCausalLM'], attention_bias: false, attention_dropout: 0, clip_qkv: null, head_dim: 128 },
  ...{ hidden_act: 'silu', hidden_size: 5120, initializer_range: 0.02, intermediate_size: 27648, max_position_embeddings: 131072 },
  ...{ mlp_bias: false, model_type: 'iquestcoder', num_attention_heads: 40, num_hidden_layers: 80, num_key_value_heads: 8 },
  ...{ rms_norm_eps: 1e-5, rope_scaling: null, rope_theta: 500_000, tie_word_embeddings: false, vocab_size: 76800 },
};

test.each([
  ['InternLM3ForCausalLM', internLm3],
  ['IQuestCoderForCausalLM', iquestCoder],
] as const)('%s is Llama, and the keys of its published config are known', (name, config) => {
  expect(unknownConfigKeys(config)).toEqual([]);
  const { family: _, ...own } = decoderConfig(name, config);
  expect(decoderConfig('LlamaForCausalLM', config)).toMatchObject(own);
});

test('InternLM 3 names its biases differently, and has one setting for both', () => {
  const read = (changes: ConfigJson) => decoderConfig('InternLM3ForCausalLM', { ...internLm3, ...changes });
  expect(read({ bias: true, qkv_bias: true })).toMatchObject({ mlp: { biased: true }, attention: { biases: { qkv: true, output: true } } });
  expect(() => read({ bias: true })).toThrow(/the biases of attention \(false\) and of MLPs \(true\) are one setting/);
});

test('IQuestCoder refuses what its first code has and no file uses', () => {
  const read = (changes: ConfigJson) => () => decoderConfig('IQuestCoderForCausalLM', { ...iquestCoder, ...changes });
  expect(read({ clip_qkv: 8 })).toThrow(/clip_qkv 8 is not supported/);
  expect(read({ use_sliding_window: true })).toThrow(/use_sliding_window true is not supported/);
});

describe('Granite 3 with experts', () => {
  const config: ConfigJson = {
    ...{ ...tokens, architectures: ['GraniteMoeForCausalLM'], attention_bias: false, attention_dropout: 0, attention_multiplier: 0.015625 },
    ...{ embedding_multiplier: 12, hidden_act: 'silu', hidden_size: 1024, initializer_range: 0.02, intermediate_size: 512 },
    ...{ logits_scaling: 6, max_position_embeddings: 131072, model_type: 'granitemoe', num_attention_heads: 16, num_experts_per_tok: 8 },
    ...{ num_hidden_layers: 2, num_key_value_heads: 8, num_local_experts: 32, output_router_logits: false, residual_multiplier: 0.22 },
    ...{ rms_norm_eps: 1e-6, rope_scaling: null, rope_theta: 1.5e6, router_aux_loss_coef: 0, tie_word_embeddings: true, vocab_size: 49155 },
  };
  const modulesOf = (changes: ConfigJson) => causalModel({ ...config, ...changes }).modules.map(({ name }) => name);

  test('the keys of a published config are known', () => expect(unknownConfigKeys(config)).toEqual([]));

  test('a shared expert is added where its width is not 0', () => {
    const shared = { architectures: ['GraniteMoeSharedForCausalLM'], model_type: 'granitemoeshared' };
    expect(modulesOf({ ...shared, shared_intermediate_size: 0 })).toEqual(modulesOf({}));
    const added = modulesOf({ ...shared, shared_intermediate_size: 64 }).filter(name => !modulesOf({}).includes(name));
    expect(added.filter(name => name.includes('.0.'))).toEqual([
      'model.layers.0.shared_mlp.input_linear',
      'model.layers.0.shared_mlp.output_linear',
    ]);
  });
});

test('Qwen2-MoE: the keys of the published config are known, and windows alternate where they are switched on', () => {
  const config: ConfigJson = {
    ...{ ...tokens, architectures: ['Qwen2MoeForCausalLM'], attention_dropout: 0, decoder_sparse_step: 1, hidden_act: 'silu' },
    ...{ hidden_size: 2048, initializer_range: 0.02, intermediate_size: 5632, max_position_embeddings: 8192, max_window_layers: 3 },
    ...{ model_type: 'qwen2_moe', moe_intermediate_size: 1408, norm_topk_prob: false, num_attention_heads: 16, num_experts: 60 },
    ...{ num_experts_per_tok: 4, num_hidden_layers: 5, num_key_value_heads: 16, output_router_logits: false, rms_norm_eps: 1e-6 },
    ...{ rope_theta: 1e6, router_aux_loss_coef: 0.001, shared_expert_intermediate_size: 5632, sliding_window: 32768 },
    ...{ tie_word_embeddings: false, use_sliding_window: false, vocab_size: 151936 },
  };
  expect(unknownConfigKeys(config)).toEqual([]);
  const windowsOf = (changes: ConfigJson) =>
    decoderConfig('Qwen2MoeForCausalLM', { ...config, ...changes }).attention.layers.map(({ window }) => window);
  expect(windowsOf({})).toEqual(new Array(5).fill(undefined));
  expect(windowsOf({ use_sliding_window: true })).toEqual([32768, undefined, 32768, undefined, undefined]);
});
