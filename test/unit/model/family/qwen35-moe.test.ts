/** Tests Qwen3.5's mixtures and Qwen3-Next: published configs, what is refused, the rows of a key head, and the shared expert. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { deltaProducts } from '../../../../trainer/model/family/decoder/blocks/delta-products.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, loadModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { required } from '../../../../trainer/narrow.ts';
import { openFast } from '../../../support/engines.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { lossesByLevel } from '../../../support/golden/losses-by-level.ts';

const folderOf = (name: string): string => join(import.meta.dirname, '..', '..', '..', 'golden', name);
const configOf = (name: string): ConfigJson => readRecord(join(folderOf(name), 'config.json'));

/** Qwen3-Next-80B-A3B as published, without its layers. */
const NEXT = {
  ...{ architectures: ['Qwen3NextForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 151643, decoder_sparse_step: 1 },
  ...{ eos_token_id: 151645, full_attention_interval: 4, head_dim: 256, hidden_act: 'silu', hidden_size: 2048, initializer_range: 0.02 },
  ...{ intermediate_size: 5120, linear_conv_kernel_dim: 4, linear_key_head_dim: 128, linear_num_key_heads: 16, linear_num_value_heads: 32 },
  ...{ linear_value_head_dim: 128, max_position_embeddings: 262144, mlp_only_layers: [], model_type: 'qwen3_next', vocab_size: 151936 },
  ...{ moe_intermediate_size: 512, norm_topk_prob: true, num_attention_heads: 16, num_experts: 512, num_experts_per_tok: 10 },
  ...{ num_hidden_layers: 4, num_key_value_heads: 2, output_router_logits: false, partial_rotary_factor: 0.25, rms_norm_eps: 1e-6 },
  ...{ rope_scaling: null, rope_theta: 1e7, router_aux_loss_coef: 0.001, shared_expert_intermediate_size: 512, use_sliding_window: false },
  ...{ tie_word_embeddings: false, torch_dtype: 'bfloat16', transformers_version: '4.57.0.dev0', use_cache: true },
};

describe('published configs', () => {
  test('Qwen3-Next: every key is known, and the experts are those of the config', () => {
    expect(unknownConfigKeys(NEXT)).toEqual([]);
    const { experts, delta, positions } = decoderConfig('Qwen3NextForCausalLM', NEXT);
    expect(experts).toMatchObject({
      count: 512,
      chosen: 10,
      sumsToOne: true,
      shared: { intermediateSize: 512 },
      layers: Array(4).fill(true),
    });
    expect(delta).toMatchObject({ layers: [true, true, true, false], storage: 'by head' });
    expect(positions[3]).toMatchObject({ features: 64, theta: 1e7 });
  });

  test('the text part of Qwen3.5: the layers that guess further tokens are passed over', () => {
    const { architectures: _, ...text } = configOf('qwen3_5_moe');
    const published = {
      ...{ architectures: ['Qwen3_5MoeForConditionalGeneration'], model_type: 'qwen3_5_moe', tie_word_embeddings: false },
      ...{ image_token_id: 248056, video_token_id: 248057, vision_start_token_id: 248053, vision_end_token_id: 248054, vision_config: {} },
      text_config: {
        ...{ ...text, attn_output_gate: true, full_attention_interval: 4, mamba_ssm_dtype: 'float32', mlp_only_layers: [] },
        ...{ mtp_num_hidden_layers: 1, mtp_use_dedicated_embeddings: false },
      },
    };
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(causalModel(published).vision).toEqual({ imageToken: 248056, positions: 'grid', deepstack: 0, attendsWithin: false });
    expect(causalModel(published).remark).toBeUndefined();
  });
});

test.each<[string, ConfigJson, RegExp]>([
  ['qwen3_5_moe', { output_router_logits: true }, /output_router_logits true is not supported/],
  ['qwen3_next', { output_router_logits: true }, /output_router_logits true is not supported/],
  ['qwen3_5_moe', { mlp_only_layers: [0] }, /mlp_only_layers \[0\] is not supported/],
  ['qwen3_5_moe', { norm_topk_prob: false }, /norm_topk_prob false is not supported/],
  ['qwen3_next', { mlp_only_layers: [3] }, /mlp_only_layers names layer 3 for num_hidden_layers 3/],
  ['qwen3_next', { num_experts_per_tok: 7 }, /num_experts_per_tok 7 is above num_experts 6/],
  ['qwen3_next', { linear_num_value_heads: 3 }, /linear_num_value_heads 3 is not a multiple of linear_num_key_heads 2/],
  ['qwen3_next', { use_sliding_window: true }, /use_sliding_window true is not supported/],
  ['qwen3_next', { shared_expert_intermediate_size: 0 }, /shared_expert_intermediate_size/],
])('%s %j is refused by name', (name, changes, message) => {
  expect(() => loadModel({ ...configOf(name), ...changes })).toThrow(message);
});

test('a head of keys has one run of rows: its query, its key, and the values and gates that share it', () => {
  const { delta, hiddenSize } = decoderConfig('Qwen3NextForCausalLM', configOf('qwen3_next'));
  const products = deltaProducts(required(delta, 'a delta net'), hiddenSize, 0, 'linear_attn');
  expect(products).toMatchObject({
    kind: 'byHead',
    qkvGate: { name: 'linear_attn.in_proj_qkvz', head: { rows: 8 + 8 + 2 * 6 + 2 * 6 }, weight: { shape: [2 * 40, 32] } },
    rateDecay: { name: 'linear_attn.in_proj_ba', head: { rows: 4 }, weight: { shape: [8, 32] } },
  });
});

test('the gate of the shared expert is part of the routing, and its MLP is not', () => {
  const { modules } = causalModel(configOf('qwen3_5_moe'));
  const shared = modules.filter(module => module.layer === 1 && module.name.includes('shared_expert'));
  expect(shared.map(module => [module.name.replace(/.*shared_expert/, ''), module.part])).toEqual([
    ['.gate_proj', 'mlp'],
    ['.up_proj', 'mlp'],
    ['.down_proj', 'mlp'],
    ['_gate', 'router'],
  ]);
});

test('every level of recomputation trains alike, to the bit, on texts of more than one chunk', async () => {
  const model = causalModel(configOf('qwen3_next'));
  const ids = Int32Array.from({ length: 140 }, (_, i) => 3 + ((i * 37) % 60));
  const losses = await lossesByLevel({ engine: await openFast(), model, folder: folderOf('qwen3_next'), ids });
  for (const own of losses) expect(own).toEqual(losses[0]);
});
