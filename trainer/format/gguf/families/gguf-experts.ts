/** Keys and names shared by the files of mixture-of-experts models. */
import { type GgufFamily, type GgufSizes, headNorms, MTP_BLOCKS, plain, ROTARY_FEATURES, turnedShare, windowOf } from './gguf-family.ts';

/** Keys that state numbers of experts. */
export const expertKeys = ['expert_count', 'expert_used_count'] as const;
/** The key for the width of experts, if it differs from the MLPs of other blocks. */
export const expertWidth = 'expert_feed_forward_length';
/** The key for the width of the shared expert, which computes every token. */
export const sharedWidth = 'expert_shared_feed_forward_length';
/** The key for the distance between blocks with experts. */
export const expertStep = 'interleave_moe_layer_step';

export const chosenExperts = ({ number }: GgufSizes) => ({ num_experts_per_tok: number('expert_used_count') });

export const expertNames = {
  ffn_gate_exps: 'mlp.experts.gate_proj',
  ffn_up_exps: 'mlp.experts.up_proj',
  ffn_down_exps: 'mlp.experts.down_proj',
} as const;

/** Qwen's experts, next to one that computes every token. */
export const qwenSharedNames = {
  ...expertNames,
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
} as const;

/** Granite's experts, next to one that computes every token. */
export const graniteExpertNames = {
  ffn_gate_inp: 'block_sparse_moe.router.layer',
  ffn_gate_exps: 'block_sparse_moe.experts.gate_proj',
  ffn_up_exps: 'block_sparse_moe.experts.up_proj',
  ffn_down_exps: 'block_sparse_moe.experts.down_proj',
  ffn_gate_shexp: 'shared_mlp.gate_proj',
  ffn_up_shexp: 'shared_mlp.up_proj',
  ffn_down_shexp: 'shared_mlp.output_linear',
} as const;

export const mixtralFile: GgufFamily = {
  ...plain,
  class: 'MixtralForCausalLM',
  modelType: 'mixtral',
  interleaved: true,
  computed: [...expertKeys, expertWidth],
  names: {
    ffn_gate_inp: 'block_sparse_moe.gate',
    ffn_gate_exps: 'block_sparse_moe.experts.w1',
    ffn_up_exps: 'block_sparse_moe.experts.w3',
    ffn_down_exps: 'block_sparse_moe.experts.w2',
  },
  settings: sizes => ({ hidden_act: 'silu', num_local_experts: sizes.number('expert_count'), ...chosenExperts(sizes) }),
};

/** llama.cpp does not normalize the chosen experts' weights, and has experts in all blocks. */
export const qwen2MoeFile: GgufFamily = {
  ...plain,
  class: 'Qwen2MoeForCausalLM',
  modelType: 'qwen2_moe',
  computed: [...expertKeys, expertWidth, sharedWidth],
  names: qwenSharedNames,
  squeezed: /\.ffn_gate_inp_shexp\.weight$/,
  settings: sizes => ({
    ...{ hidden_act: 'silu', norm_topk_prob: false, decoder_sparse_step: 1, use_sliding_window: false },
    qkv_bias: sizes.has('model.layers.0.self_attn.q_proj.bias'),
    ...chosenExperts(sizes),
    num_experts: sizes.number('expert_count'),
    moe_intermediate_size: sizes.number(expertWidth),
    shared_expert_intermediate_size: sizes.number(sharedWidth),
  }),
};

/** Granite 3 with experts. @param granite the family without experts */
export const graniteMoeFile = (granite: Omit<GgufFamily, 'class' | 'modelType'>): GgufFamily => ({
  ...granite,
  class: 'GraniteMoeForCausalLM',
  modelType: 'granitemoe',
  writes: ['GraniteMoeForCausalLM', 'GraniteMoeSharedForCausalLM'],
  computed: [...granite.computed, ...expertKeys, sharedWidth],
  names: graniteExpertNames,
  settings: sizes => {
    const width = countOf(sizes, sharedWidth) ?? 0;
    return {
      ...granite.settings(sizes),
      ...chosenExperts(sizes),
      num_local_experts: sizes.number('expert_count'),
      ...(width > 0 && {
        architectures: ['GraniteMoeSharedForCausalLM'],
        model_type: 'granitemoeshared',
        shared_intermediate_size: width,
      }),
    };
  },
});

/** Keys of mixtures that choose experts by sigmoids. */
export const sigmoidKeys = {
  gating: 'expert_gating_func',
  plain: 'leading_dense_block_count',
  factor: 'expert_weights_scale',
  sumsToOne: 'expert_weights_norm',
  shared: 'expert_shared_count',
  groups: 'expert_group_count',
  chosenGroups: 'expert_group_used_count',
} as const;

/** llama.cpp's code for sigmoids; softmax is 1. */
export const SIGMOIDS = 2;

/** Reads a count that may be 0 or missing. */
const countOf = ({ number, isNothing }: GgufSizes, key: string): number | undefined => (isNothing(key) ? 0 : number(key));

/** @param usual llama.cpp's default if the file does not state it */
const ofSigmoids = (architecture: string, sizes: GgufSizes, usual: number | undefined) => {
  const gating = sizes.number(sigmoidKeys.gating) ?? usual;
  if (gating !== SIGMOIDS)
    sizes.refuse(
      `${architecture}.${sigmoidKeys.gating} ${gating === undefined ? 'is missing' : `${gating} is not supported`}; supported is ${SIGMOIDS}, sigmoids`,
    );
  return { ...chosenExperts(sizes), moe_intermediate_size: sizes.number(expertWidth) };
};

/** LFM2 with experts: the weights of the chosen experts sum to 1. @param dense the family without experts */
export const lfm2MoeFile = (dense: GgufFamily): GgufFamily => ({
  ...dense,
  class: 'Lfm2MoeForCausalLM',
  modelType: 'lfm2_moe',
  computed: [...dense.computed, ...expertKeys, expertWidth, sigmoidKeys.gating, sigmoidKeys.plain],
  names: {
    ...dense.names,
    ffn_gate_inp: 'feed_forward.gate',
    ffn_gate_exps: 'feed_forward.experts.w1',
    ffn_up_exps: 'feed_forward.experts.w3',
    ffn_down_exps: 'feed_forward.experts.w2',
    'exp_probs_b.bias': 'feed_forward.expert_bias',
  },
  settings: sizes => ({
    ...dense.settings(sizes),
    ...ofSigmoids('lfm2moe', sizes, undefined),
    num_experts: sizes.number('expert_count'),
    num_dense_layers: countOf(sizes, sigmoidKeys.plain) ?? 0,
    ...{ use_expert_bias: true, norm_topk_prob: true, routed_scaling_factor: 1 },
  }),
});

export const sharedNames = {
  ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
  ffn_up_shexp: 'mlp.shared_experts.up_proj',
  ffn_down_shexp: 'mlp.shared_experts.down_proj',
} as const;

/** The settings of experts in groups that sigmoids choose, next to shared ones. @param usual see `ofSigmoids` */
export const ofGroups = (architecture: string, sizes: GgufSizes, usual: number | undefined) => ({
  ...ofSigmoids(architecture, sizes, usual),
  n_routed_experts: sizes.number('expert_count'),
  n_shared_experts: sizes.number(sigmoidKeys.shared),
  n_group: countOf(sizes, sigmoidKeys.groups) || 1,
  topk_group: countOf(sizes, sigmoidKeys.chosenGroups) || 1,
  first_k_dense_replace: countOf(sizes, sigmoidKeys.plain) ?? 0,
  norm_topk_prob: sizes.isTrue(sigmoidKeys.sumsToOne),
  routed_scaling_factor: countOf(sizes, sigmoidKeys.factor) || 1,
});

export const glm4MoeFile: GgufFamily = {
  class: 'Glm4MoeForCausalLM',
  modelType: 'glm4_moe',
  normOffset: 0,
  interleaved: false,
  computed: [...expertKeys, expertWidth, ...Object.values(sigmoidKeys), ROTARY_FEATURES, MTP_BLOCKS],
  names: {
    ...expertNames,
    ...headNorms,
    post_attention_norm: 'post_attention_layernorm',
    ffn_gate_inp: 'mlp.gate',
    'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias',
    ...sharedNames,
  },
  settings: sizes => ({
    ...ofGroups('glm4moe', sizes, SIGMOIDS),
    hidden_act: 'silu',
    attention_bias: sizes.has('model.layers.0.self_attn.q_proj.bias'),
    use_qk_norm: sizes.has('model.layers.0.self_attn.q_norm.weight'),
    partial_rotary_factor: turnedShare(sizes),
  }),
};

/** ERNIE 4.5 with experts in every block after the plain ones; llama.cpp divides the weights of the chosen experts by their sum. */
export const ernieMoeFile: GgufFamily = {
  class: 'Ernie4_5_MoeForCausalLM',
  modelType: 'ernie4_5_moe',
  normOffset: 0,
  interleaved: false,
  computed: [...expertKeys, expertWidth, sharedWidth, expertStep, sigmoidKeys.plain, sigmoidKeys.shared],
  names: {
    ...expertNames,
    ...sharedNames,
    ffn_gate_inp: 'mlp.gate',
    'exp_probs_b.bias': 'mlp.moe_statics.e_score_correction_bias',
  },
  settings: sizes => {
    const [width, step] = [sizes.number(expertWidth) ?? 0, sizes.number(expertStep) ?? 1];
    if (step !== 1) sizes.refuse(`ernie4_5-moe.${expertStep} ${step} is not supported; supported is 1`);
    return {
      hidden_act: 'silu',
      use_bias: false,
      moe_num_experts: sizes.number('expert_count'),
      moe_k: sizes.number('expert_used_count'),
      moe_intermediate_size: width,
      moe_num_shared_experts: (countOf(sizes, sharedWidth) ?? 0) / width,
      moe_layer_start_index: countOf(sizes, sigmoidKeys.plain) ?? 0,
    };
  },
};

export const gptOssFile: GgufFamily = {
  ...plain,
  class: 'GptOssForCausalLM',
  modelType: 'gpt_oss',
  computed: [...expertKeys, expertWidth, 'attention.sliding_window'],
  names: {
    ...expertNames,
    ffn_gate_inp: 'mlp.router',
    post_attention_norm: 'post_attention_layernorm',
    'attn_sinks.weight': 'self_attn.sinks',
  },
  settings: sizes => ({
    ...chosenExperts(sizes),
    num_local_experts: sizes.number('expert_count'),
    intermediate_size: sizes.number(expertWidth),
    attention_bias: sizes.has('model.layers.0.self_attn.q_proj.bias'),
    sliding_window: windowOf(sizes),
  }),
  // The files do not state it, but the configs of these models do.
  yarn: () => ({ truncate: false }),
};
