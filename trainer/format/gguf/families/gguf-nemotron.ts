/**
 * Nemotron-H and Nemotron 3 in llama.cpp's format: the lists of MLP widths and key-value heads say which blocks have an MLP, attention, or
 * Mamba-2.
 */
import { chosenExperts, expertKeys, expertWidth, sharedWidth, sigmoidKeys } from './gguf-experts.ts';
import {
  AS_LOGARITHMS,
  type GgufFamily,
  type GgufSizes,
  LAYER_NORM_EPSILON,
  MTP_BLOCKS,
  ROTARY_FEATURES,
  STATE,
  TURNS,
} from './gguf-family.ts';

const [KV_HEADS, MLP] = ['attention.head_count_kv', 'feed_forward_length'];
/** The key for the length of the vector that the chosen experts compute, if it is shorter than the states. */
export const LATENT = 'moe_latent_size';

export const nemotronFile: GgufFamily = {
  class: 'NemotronHForCausalLM',
  modelType: 'nemotron_h',
  normOffset: 0,
  // Nothing rotates, but the converter orders rows as for Llama.
  interleaved: true,
  blocksAt: 'backbone.layers',
  // Converters write features that rotate, though none do.
  computed: [...Object.values(STATE), TURNS, LAYER_NORM_EPSILON, ROTARY_FEATURES],
  hasRmsNorms: true,
  ignoresLeastStep: true,
  lists: [KV_HEADS, MLP],
  names: {
    ...{ token_embd: 'backbone.embeddings', output_norm: 'backbone.norm_f', attn_norm: 'norm' },
    ...{ attn_q: 'mixer.q_proj', attn_k: 'mixer.k_proj', attn_v: 'mixer.v_proj', attn_output: 'mixer.o_proj' },
    ...{ ffn_up: 'mixer.up_proj', ffn_down: 'mixer.down_proj' },
    ...{ ssm_in: 'mixer.in_proj', ssm_conv1d: 'mixer.conv1d', 'ssm_dt.bias': 'mixer.dt_bias', ssm_a: 'mixer.A_log', ssm_d: 'mixer.D' },
    ...{ ssm_norm: 'mixer.norm', ssm_out: 'mixer.out_proj' },
  },
  squeezed: /\.ssm_conv1d\.weight$/,
  folded: { ssm_a: 'heads', ssm_d: 'heads', ssm_norm: 'keyHeads' },
  layout: name => (/\.ssm_a$/.test(name) ? { values: AS_LOGARITHMS } : {}),
  settings: sizes => settingsOf(sizes, 'mlp'),
};

function settingsOf(sizes: GgufSizes, kind: 'mlp' | 'moe'): Record<string, unknown> {
  const { number, blocks, has, epsilon } = sizes;
  const [mlps, kvHeads] = [perBlock(sizes, MLP), perBlock(sizes, KV_HEADS)];
  const types = Array.from({ length: blocks }, (_, i) => (mlps[i] !== 0 ? kind : kvHeads[i] !== 0 ? 'full_attention' : 'linear_attention'));
  const heads = number(STATE.heads) ?? 1;
  return {
    layer_norm_epsilon: epsilon,
    layers_block_type: types,
    mlp_hidden_act: 'relu2',
    mamba_num_heads: heads,
    mamba_head_dim: (number(STATE.values) ?? 0) / heads,
    n_groups: number(STATE.keyHeads),
    ssm_state_size: number(STATE.headDim),
    conv_kernel: number(STATE.width),
    use_conv_bias: has(`backbone.layers.${types.indexOf('linear_attention')}.mixer.conv1d.bias`),
    // llama.cpp has no limit of time steps.
    time_step_min: 0,
  };
}

/** The value of each block. */
function perBlock({ list, number, isNothing, blocks }: GgufSizes, key: string): readonly (number | boolean | undefined)[] {
  const own = list(key);
  const all = isNothing(key) || own ? 0 : number(key);
  return Array.from({ length: blocks }, (_, i) => (own ? own[i] : all));
}

/** Nemotron 3, with experts in place of all MLPs. */
export const nemotronMoeFile: GgufFamily = {
  ...nemotronFile,
  hasNoMlps: true,
  computed: [
    ...nemotronFile.computed,
    ...[...expertKeys, expertWidth, sharedWidth, LATENT, MTP_BLOCKS],
    ...[sigmoidKeys.factor, sigmoidKeys.sumsToOne, sigmoidKeys.shared, sigmoidKeys.groups, sigmoidKeys.chosenGroups],
  ],
  names: {
    ...nemotronFile.names,
    ...{ ffn_gate_inp: 'mixer.gate', 'exp_probs_b.bias': 'mixer.gate.e_score_correction_bias' },
    ...{ ffn_up_exps: 'mixer.experts.up_proj', ffn_down_exps: 'mixer.experts.down_proj' },
    ...{ ffn_up_shexp: 'mixer.shared_experts.up_proj', ffn_down_shexp: 'mixer.shared_experts.down_proj' },
    ...{ ffn_latent_down: 'mixer.fc1_latent_proj', ffn_latent_up: 'mixer.fc2_latent_proj' },
  },
  settings: sizes => {
    const { number, isNothing, isTrue } = sizes;
    const countOf = (key: string): number => (isNothing(key) ? 1 : (number(key) ?? 1));
    return {
      ...settingsOf(sizes, 'moe'),
      ...chosenExperts(sizes),
      n_routed_experts: number('expert_count'),
      moe_intermediate_size: number(expertWidth),
      moe_shared_expert_intermediate_size: number(sharedWidth),
      moe_latent_size: isNothing(LATENT) ? null : (number(LATENT) ?? null),
      norm_topk_prob: isTrue(sigmoidKeys.sumsToOne),
      routed_scaling_factor: countOf(sigmoidKeys.factor),
      n_group: countOf(sigmoidKeys.groups),
      topk_group: countOf(sigmoidKeys.chosenGroups),
    };
  },
};
