/**
 * Families with a recurrent state in llama.cpp's format: Granite 4, Falcon-H1, Qwen3.5 and Qwen3-Next. If several value heads share a key head, they
 * are neighbors in the model. In files of Qwen3.5, value heads alternate: the first of every key head, then the second of every key head,
 * and so on.
 */
import { chosenExperts, expertKeys, expertWidth, graniteExpertNames, qwenSharedNames, sharedWidth } from './gguf-experts.ts';
import {
  AS_LOGARITHMS,
  type FileLayout,
  type GgufFamily,
  type GgufSizes,
  headNorms,
  MTP_BLOCKS,
  plain,
  ROTARY_FEATURES,
  STATE,
  type StateHeads,
  TURNS,
  turnedShare,
} from './gguf-family.ts';
import { GRID_SECTIONS } from './gguf-vision.ts';

const INTERVAL = 'full_attention_interval';

export const qwen35File: GgufFamily = {
  class: 'Qwen3_5ForCausalLM',
  modelType: 'qwen3_5_text',
  normOffset: 1,
  interleaved: false,
  computed: [...Object.values(STATE), INTERVAL, ROTARY_FEATURES, GRID_SECTIONS, MTP_BLOCKS],
  gridPairs: 'in turn',
  names: {
    post_attention_norm: 'post_attention_layernorm',
    ...headNorms,
    attn_qkv: 'linear_attn.in_proj_qkv',
    attn_gate: 'linear_attn.in_proj_z',
    ssm_beta: 'linear_attn.in_proj_b',
    ssm_alpha: 'linear_attn.in_proj_a',
    ssm_conv1d: 'linear_attn.conv1d',
    'ssm_dt.bias': 'linear_attn.dt_bias',
    ssm_a: 'linear_attn.A_log',
    ssm_norm: 'linear_attn.norm',
    ssm_out: 'linear_attn.out_proj',
  },
  squeezed: /\.ssm_conv1d\.weight$/,
  layout,
  settings: (sizes: GgufSizes) => {
    const { number, blocks } = sizes;
    const interval = number(INTERVAL) ?? 4;
    return {
      hidden_act: 'silu',
      attention_bias: false,
      layer_types: Array.from({ length: blocks }, (_, i) => ((i + 1) % interval === 0 ? 'full_attention' : 'linear_attention')),
      linear_conv_kernel_dim: number(STATE.width),
      linear_num_key_heads: number(STATE.keyHeads),
      linear_num_value_heads: number(STATE.heads),
      linear_key_head_dim: number(STATE.headDim),
      // llama.cpp has one size for both.
      linear_value_head_dim: number(STATE.headDim),
      partial_rotary_factor: turnedShare(sizes),
    };
  },
};

/** Settings for experts in all blocks, whose weights sum to 1. */
const withExperts = {
  hasNoMlps: true,
  computed: [...qwen35File.computed, ...expertKeys, expertWidth, sharedWidth],
  squeezed: /\.(ssm_conv1d|ffn_gate_inp_shexp)\.weight$/,
  settings: (sizes: GgufSizes) => ({
    ...qwen35File.settings(sizes),
    ...chosenExperts(sizes),
    num_experts: sizes.number('expert_count'),
    moe_intermediate_size: sizes.number(expertWidth),
    shared_expert_intermediate_size: sizes.number(sharedWidth),
    norm_topk_prob: true,
  }),
} as const;

export const qwen35MoeFile: GgufFamily = {
  ...qwen35File,
  ...withExperts,
  class: 'Qwen3_5MoeForCausalLM',
  modelType: 'qwen3_5_moe_text',
  names: { ...qwen35File.names, ...qwenSharedNames },
};

/** Qwen3-Next: rates and decays are ordered by key heads, as in the model; queries, keys, values and gates are ordered by kind. */
export const qwen3NextFile: GgufFamily = {
  ...qwen35File,
  ...withExperts,
  class: 'Qwen3NextForCausalLM',
  modelType: 'qwen3_next',
  computed: withExperts.computed.filter(key => key !== GRID_SECTIONS),
  // Converters wrote the first of these until 2026.
  names: { ...qwen35File.names, ...qwenSharedNames, ssm_in: 'linear_attn.in_proj_qkvz', ssm_ba: 'linear_attn.in_proj_ba' },
  layout: (name, shape, { heads }) => layout(name, shape, { heads, keyHeads: heads }),
};

function layout(name: string, shape: readonly number[], { keyHeads, heads }: StateHeads): FileLayout {
  const stem = /^blk\.\d+\.(\w+)/.exec(name)?.[1];
  const rows = shape[0] ?? 0;
  /** Returns the new index of each row or column, if value heads start at `first` and have `size` of them each. */
  const turns = (size: number, first = 0): ((index: number) => number) | undefined => {
    const shared = heads / keyHeads;
    // Such a file is refused because of the sizes of its tensors.
    if (!Number.isInteger(size) || !Number.isInteger(shared) || shared === 1) return undefined;
    return index => {
      if (index < first) return index;
      const head = Math.floor((index - first) / size);
      const turned = (head % shared) * keyHeads + Math.floor(head / shared);
      return first + turned * size + ((index - first) % size);
    };
  };
  switch (stem) {
    case 'attn_qkv':
    case 'ssm_conv1d': {
      const size = rows / (2 * keyHeads + heads);
      return { rows: turns(size, 2 * keyHeads * size) };
    }
    case 'attn_gate':
    case 'ssm_alpha':
    case 'ssm_beta':
    case 'ssm_dt':
      return { rows: turns(rows / heads) };
    case 'ssm_a':
      return { rows: turns(rows / heads), values: AS_LOGARITHMS };
    case 'ssm_out':
      return { columns: turns((shape[1] ?? 0) / heads) };
    // The norm after the state, whose weight is not stored as a difference from 1.
    case 'ssm_norm':
      return { values: undefined };
    default:
      return {};
  }
}

const KV_HEADS = 'attention.head_count_kv';

/** Names of Mamba-2 in Granite 4 and Falcon-H1. */
const mambaNames = {
  ...{ ssm_in: 'mamba.in_proj', ssm_conv1d: 'mamba.conv1d', 'ssm_dt.bias': 'mamba.dt_bias', ssm_a: 'mamba.A_log', ssm_d: 'mamba.D' },
  ...{ ssm_norm: 'mamba.norm', ssm_out: 'mamba.out_proj' },
} as const;

/** Shapes and values of Mamba-2's tensors. */
const mambaForms = {
  squeezed: /\.ssm_conv1d\.weight$/,
  folded: { ssm_a: 'heads', ssm_d: 'heads', ssm_norm: 'keyHeads' },
  layout: name => (/\.ssm_a$/.test(name) ? { values: AS_LOGARITHMS } : {}),
} as const satisfies Partial<GgufFamily>;

const mambaSizes = ({ number }: GgufSizes) => {
  const heads = number(STATE.heads) ?? 1;
  return {
    mamba_n_heads: heads,
    mamba_d_head: (number(STATE.values) ?? 0) / heads,
    mamba_n_groups: number(STATE.keyHeads),
    mamba_d_state: number(STATE.headDim),
    mamba_d_conv: number(STATE.width),
  };
};

/**
 * Falcon-H1: Mamba-2 and attention side by side in every block. Files have no multipliers, which the converter puts into the weights
 * (`conversion/falcon_h1.py`). llama.cpp has no biases behind attention and in Mamba's products, but one in each convolution, and norms
 * after the gates.
 */
export const falconH1File: GgufFamily = {
  ...plain,
  class: 'FalconH1ForCausalLM',
  modelType: 'falcon_h1',
  computed: Object.values(STATE),
  hasMultipliedWeights: true,
  ignoresFrequencyFactors: true,
  names: {
    ...{ output_norm: 'model.final_layernorm', ffn_norm: 'pre_ff_layernorm.weight' },
    ...{ ffn_gate: 'feed_forward.gate_proj', ffn_up: 'feed_forward.up_proj', ffn_down: 'feed_forward.down_proj' },
    ...mambaNames,
  },
  ...mambaForms,
  settings: sizes => ({
    ...{ hidden_act: 'silu', attention_bias: false, mamba_norm_before_gate: false },
    ...mambaSizes(sizes),
    mamba_d_ssm: sizes.number(STATE.values),
    mamba_rms_norm: sizes.has('model.layers.0.mamba.norm.weight'),
    mlp_bias: sizes.has('model.layers.0.feed_forward.up_proj.bias'),
  }),
};

/** Granite 4 in llama.cpp: Mamba layers with a bias in their convolution only, and without limits on time steps. */
export function graniteHybridFile(granite: Omit<GgufFamily, 'class' | 'modelType'>): GgufFamily {
  const dense: GgufFamily = {
    ...granite,
    class: 'GraniteMoeHybridForCausalLM',
    modelType: 'granitemoehybrid',
    computed: [...granite.computed, ...Object.values(STATE), TURNS],
    lists: [KV_HEADS],
    names: mambaNames,
    ...mambaForms,
    settings: sizes => {
      const { list, blocks, hidden, has, isNothing } = sizes;
      return {
        ...granite.settings(sizes),
        // A block without key-value heads has a state.
        layer_types: Array.from({ length: blocks }, (_, i) => (list(KV_HEADS)?.[i] === 0 ? 'mamba' : 'attention')),
        attention_bias: Array.from({ length: blocks }).some((_, i) => has(`model.layers.${i}.self_attn.q_proj.bias`)),
        position_embedding_type: isNothing(TURNS) ? 'nope' : 'rope',
        ...mambaSizes(sizes),
        mamba_expand: (sizes.number(STATE.values) ?? 0) / hidden,
        shared_intermediate_size: sizes.number('feed_forward_length'),
        num_local_experts: 0,
      };
    },
  };
  return {
    ...dense,
    withExperts: {
      ...dense,
      computed: [...dense.computed, ...expertKeys, sharedWidth],
      names: {
        ...mambaNames,
        ...graniteExpertNames,
      },
      settings: sizes => ({
        ...dense.settings(sizes),
        ...chosenExperts(sizes),
        num_local_experts: sizes.number('expert_count'),
        shared_intermediate_size: sizes.number(sharedWidth),
      }),
    },
  };
}
