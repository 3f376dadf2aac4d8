/**
 * Gemma 4 in llama.cpp's format: blocks with global attention have another head size, and the last blocks have no keys and values of their
 * own.
 */
import { type GgufFamily, type GgufSizes, PATTERN } from './gguf-family.ts';

/** The divisor of a frequency that does not rotate. */
export const UNROTATED_DIVISOR = 1e30;

export const WINDOW = 'attention.sliding_window';
const LENGTHS = { full: 'attention.key_length', sliding: 'attention.key_length_swa' } as const;
const INPUTS = 'embedding_length_per_layer_input';
const SHARED = 'attention.shared_kv_layers';
const MLP = 'feed_forward_length';
const KV_HEADS = 'attention.head_count_kv';
const CAP = 'final_logit_softcapping';
const EXPERTS = { all: 'expert_count', chosen: 'expert_used_count', width: 'expert_feed_forward_length' } as const;

export const gemma4File: GgufFamily = {
  class: 'Gemma4ForCausalLM',
  modelType: 'gemma4_text',
  writes: ['Gemma4ForCausalLM', 'Gemma4UnifiedForCausalLM'],
  pieces: 'gemma',
  normOffset: 0,
  interleaved: false,
  ownPositions: true,
  withoutAdapters: /^per_layer_model_proj\.weight$/,
  lists: [MLP, KV_HEADS],
  computed: [
    ...[WINDOW, PATTERN, LENGTHS.sliding, 'attention.value_length_swa', SHARED, INPUTS, CAP],
    ...['rope.freq_base_swa', 'rope.dimension_count_swa'],
    ...Object.values(EXPERTS),
  ],
  names: {
    ffn_norm: 'pre_feedforward_layernorm',
    post_attention_norm: 'post_attention_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
    attn_q_norm: 'self_attn.q_norm',
    attn_k_norm: 'self_attn.k_norm',
    inp_gate: 'per_layer_input_gate',
    proj: 'per_layer_projection',
    post_norm: 'post_per_layer_input_norm',
    'layer_output_scale.weight': 'layer_scalar',
    pre_ffw_norm_2: 'pre_feedforward_layernorm_2',
    post_ffw_norm_1: 'post_feedforward_layernorm_1',
    post_ffw_norm_2: 'post_feedforward_layernorm_2',
    ffn_gate_inp: 'router.proj',
    'ffn_gate_inp.scale': 'router.scale',
    'ffn_down_exps.scale': 'router.per_expert_scale',
    ffn_gate_exps: 'experts.gate_proj',
    ffn_up_exps: 'experts.up_proj',
    ffn_gate_up_exps: 'experts.gate_up_proj',
    ffn_down_exps: 'experts.down_proj',
  },
  settings: sizes => {
    const { list, blocks, headDim, refuse } = sizes;
    const number = (key: string) => (sizes.isNothing(key) ? undefined : sizes.number(key));
    const isWindowed = list(PATTERN)?.map(Boolean) ?? [];
    if (isWindowed.length !== blocks)
      refuse(`gemma4.${PATTERN} is not a list that says of each of the ${blocks} blocks whether it has a window`);
    for (const key of [MLP, KV_HEADS]) if (list(key)?.[0] === 0) refuse(`gemma4.${key} is 0 for the first block, not a positive number`);
    const [full, shared] = [isWindowed.indexOf(false), number(SHARED) ?? 0];
    const [mlps, kvHeads] = [list(MLP), list(KV_HEADS)];
    const sharesValues = full >= 0 && full < blocks - shared && !sizes.has(`model.layers.${full}.self_attn.v_proj.weight`);
    return {
      ...{ hidden_activation: 'gelu_pytorch_tanh', attention_bias: sizes.has('model.layers.0.self_attn.q_proj.bias') },
      layer_types: isWindowed.map(windowed => (windowed ? 'sliding_attention' : 'full_attention')),
      ...(number(WINDOW) !== undefined && { sliding_window: number(WINDOW) }),
      head_dim: number(LENGTHS.sliding) ?? headDim,
      global_head_dim: headDim,
      attention_k_eq_v: sharesValues,
      ...(kvHeads && { num_key_value_heads: kvHeads[isWindowed.indexOf(true)] ?? kvHeads[0], num_global_key_value_heads: kvHeads[full] }),
      num_kv_shared_layers: shared,
      use_double_wide_mlp: mlps !== undefined && shared > 0 && mlps.at(-1) === 2 * Number(mlps[0]),
      hidden_size_per_layer_input: number(INPUTS) ?? 0,
      vocab_size_per_layer_input: sizes.shapeOf('model.embed_tokens_per_layer.weight')?.[0],
      final_logit_softcapping: number(CAP) ?? null,
      enable_moe_block: number(EXPERTS.all) !== undefined,
      num_experts: number(EXPERTS.all),
      top_k_experts: number(EXPERTS.chosen),
      moe_intermediate_size: number(EXPERTS.width),
      rope_parameters: positionsOf(sizes),
    };
  },
};

/**
 * The positions. The file's factors are for blocks with global attention: the pairs that rotate come first and share one factor; the others
 * do not rotate.
 */
function positionsOf({ number, headDim, ropeFactors, refuse }: GgufSizes): Record<string, unknown> {
  const pairs = headDim / 2;
  const unturned = ropeFactors?.findIndex(factor => factor >= UNROTATED_DIVISOR / 2) ?? -1;
  const turned = unturned < 0 ? (ropeFactors?.length ?? pairs) : unturned;
  const first = ropeFactors?.[0];
  const isOfShare = ropeFactors?.every((factor, pair) => (pair < turned ? factor === first : factor >= UNROTATED_DIVISOR / 2)) ?? true;
  if (ropeFactors && (ropeFactors.length !== pairs || !isOfShare))
    refuse(`rope_freqs.weight is not one factor for the first pairs of ${pairs}, and ${UNROTATED_DIVISOR} for the others`);
  return {
    full_attention: {
      ...{ rope_type: 'proportional', rope_theta: number('rope.freq_base') ?? 1e6, factor: turned > 0 ? (first ?? 1) : 1 },
      partial_rotary_factor: turned / pairs,
    },
    sliding_attention: { rope_type: 'default', rope_theta: number('rope.freq_base_swa') ?? 1e4 },
  };
}
