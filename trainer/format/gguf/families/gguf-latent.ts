/**
 * Multi-head latent attention in llama.cpp's format: DeepSeek-V3 and GLM-4.7-Flash with experts, Youtu-LLM without. Files state the lengths
 * of one head of keys and values that all queries share, and the lengths of the model's own heads under other keys (`_mla`).
 */
import { expertKeys, expertNames, expertWidth, ofGroups, SIGMOIDS, sharedNames, sigmoidKeys } from './gguf-experts.ts';
import { type GgufFamily, type GgufSizes, MTP_BLOCKS, plain, ROTARY_FEATURES } from './gguf-family.ts';

/** Keys for the lengths of latent attention. */
export const LATENT_KEYS = {
  queryRank: 'attention.q_lora_rank',
  rank: 'attention.kv_lora_rank',
  keys: 'attention.key_length_mla',
  values: 'attention.value_length_mla',
} as const;

/** The key for the factor of YaRN on scores; these files hold a tenth of it. */
export const YARN_LOGARITHM = 'rope.scaling.yarn_log_multiplier';
/** The part of the factor that these files hold. */
export const YARN_PART = 0.1;

const latentSettings = ({ number, heads }: GgufSizes): Record<string, unknown> => {
  const rotated = number(ROTARY_FEATURES) ?? 0;
  return {
    ...{ hidden_act: 'silu', attention_bias: false, num_key_value_heads: heads, rope_interleave: true },
    // The rotating part, which is all of what Transformers calls a head here.
    ...{ head_dim: rotated, partial_rotary_factor: 1 },
    q_lora_rank: number(LATENT_KEYS.queryRank) ?? null,
    kv_lora_rank: number(LATENT_KEYS.rank),
    qk_nope_head_dim: (number(LATENT_KEYS.keys) ?? 0) - rotated,
    qk_rope_head_dim: rotated,
    v_head_dim: number(LATENT_KEYS.values),
  };
};

const latentFile = {
  ...plain,
  computed: [
    ...Object.values(LATENT_KEYS),
    ...['attention.key_length', 'attention.value_length', 'attention.head_count_kv', ROTARY_FEATURES, YARN_LOGARITHM],
    ...[expertWidth, sigmoidKeys.plain, sigmoidKeys.shared],
  ],
  names: {
    ...{ attn_q_a: 'self_attn.q_a_proj', attn_q_a_norm: 'self_attn.q_a_layernorm', attn_q_b: 'self_attn.q_b_proj' },
    ...{ attn_kv_a_mqa: 'self_attn.kv_a_proj_with_mqa', attn_kv_a_norm: 'self_attn.kv_a_layernorm' },
    ...{ attn_k_b: 'self_attn.k_b_proj', attn_v_b: 'self_attn.v_b_proj' },
  },
  withoutAdapters: /^(blk\.\d+\.attn_(q|q_a|q_b|kv_a_mqa)|output)\.weight$/,
  // llama.cpp assumes that both weights of the logarithm are equal; without them, it multiplies scores by the factor as well as tables.
  yarn: (number: GgufSizes['number']) => {
    const part = number(YARN_LOGARITHM);
    const weight = part === undefined ? undefined : Number((part / YARN_PART).toPrecision(6));
    if (weight !== undefined) return { mscale: weight, mscale_all_dim: weight };
    return { mscale_all_dim: 1, attention_factor: 1 + 0.1 * Math.log(number('rope.scaling.factor') ?? 1) };
  },
} as const;

/** The number of blocks and of tokens by which llama.cpp recognizes GLM-4.7-Flash. */
const GLM_BLOCKS: readonly number[] = [47, 48];
const GLM_TOKENS = 154880;

const deepseekFile: GgufFamily = {
  ...latentFile,
  class: 'DeepseekV3ForCausalLM',
  modelType: 'deepseek_v3',
  writes: ['DeepseekV3ForCausalLM', 'Glm4MoeLiteForCausalLM'],
  computed: [...latentFile.computed, ...expertKeys, ...Object.values(sigmoidKeys), MTP_BLOCKS],
  names: {
    ...latentFile.names,
    ...expertNames,
    ...sharedNames,
    ffn_gate_inp: 'mlp.gate',
    'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias',
  },
  settings: sizes => {
    const isGlm = GLM_BLOCKS.includes(sizes.blocks) && sizes.shapeOf('model.embed_tokens.weight')?.[0] === GLM_TOKENS;
    return { ...latentSettings(sizes), ...ofGroups('deepseek2', sizes, isGlm ? SIGMOIDS : undefined) };
  },
};

export const youtuFile: GgufFamily = {
  ...latentFile,
  class: 'YoutuForCausalLM',
  modelType: 'youtu',
  settings: latentSettings,
  withExperts: deepseekFile,
};
