/**
 * Gemma 3n in llama.cpp's format. Files state sizes that llama.cpp does not read: it has those of the published models
 * (`src/models/gemma3n.cpp`), whose keys and values of the last blocks are those of blocks 18 and 19. It divides the variance of n gates by
 * n − 1, and Transformers by n: a standard deviation of 8192 gates differs by 6e-5 of its size.
 */
import { type GgufFamily, headNorms, PATTERN } from './gguf-family.ts';
import { WINDOW } from './gguf-gemma4.ts';

const MLP = 'feed_forward_length';
/** The key for how many standard deviations above their mean the gates of each block start to count; −∞: all count. */
export const CUTOFFS = 'activation_sparsity_scale';
/** Number of blocks with keys and values of their own. */
const WITH_KEYS = 20;
/** Number of blocks in which some gates do not count, and the share of these gates. */
const SPARSE = { blocks: 10, share: 0.95 } as const;
/** The share as a number of standard deviations. */
const SPARSE_CUTOFF = 1.6448536;

const FIXED = {
  'altup.num_inputs': 4,
  'altup.active_idx': 0,
  embedding_length_per_layer_input: 256,
  final_logit_softcapping: 30,
} as const;

export const gemma3nFile: GgufFamily = {
  class: 'Gemma3nForCausalLM',
  modelType: 'gemma3n_text',
  pieces: 'gemma',
  normOffset: 0,
  interleaved: false,
  turnsByWindow: true,
  hasUnreadKeys: true,
  ignoresFrequencyFactors: true,
  withoutAdapters: /^per_layer_model_proj\.weight$/,
  squares: /^altup_(unembd_)?proj\.weight$/,
  lists: [MLP],
  computed: [...Object.keys(FIXED), WINDOW, PATTERN, CUTOFFS, 'attention.shared_kv_layers', 'rope.freq_base_swa'],
  names: {
    ...headNorms,
    ...{ altup_proj: 'model.altup_projections', altup_unembd_proj: 'model.altup_unembed_projections' },
    ffn_norm: 'pre_feedforward_layernorm',
    ...{ post_attention_norm: 'post_attention_layernorm', post_ffw_norm: 'post_feedforward_layernorm' },
    ...{ inp_gate: 'per_layer_input_gate', proj: 'per_layer_projection', post_norm: 'post_per_layer_input_norm' },
    ...{ altup_router: 'altup.modality_router', altup_router_norm: 'altup.router_norm', altup_predict_coef: 'altup.prediction_coefs' },
    ...{ altup_correct_coef: 'altup.correction_coefs', 'altup_correct_scale.weight': 'altup.correct_output_scale' },
    ...{ laurel_l: 'laurel.linear_left', laurel_r: 'laurel.linear_right', laurel_post_norm: 'laurel.post_laurel_norm' },
  },
  settings: sizes => {
    const { list, number, isNothing, blocks, refuse } = sizes;
    const shared = Math.max(0, blocks - WITH_KEYS);
    for (const [key, value] of Object.entries({ ...FIXED, 'attention.shared_kv_layers': shared })) {
      const own = isNothing(key) ? 0 : (number(key) ?? value);
      if (own !== value) refuse(`gemma3n.${key} ${own} is not supported; supported is ${value}`);
    }
    const windowed = list(PATTERN)?.map(Boolean) ?? Array.from({ length: blocks }, (_, i) => (i + 1) % 5 !== 0);
    if (shared > 0 && (windowed[WITH_KEYS - 1] || !windowed[WITH_KEYS - 2]))
      refuse(`gemma3n.${PATTERN} does not say that block ${WITH_KEYS - 2} has a window and block ${WITH_KEYS - 1} has none`);
    const isUsual = (cutoff: number | boolean, i: number): boolean =>
      i < SPARSE.blocks ? Math.abs(Number(cutoff) - SPARSE_CUTOFF) < 1e-5 : cutoff === Number.NEGATIVE_INFINITY;
    if (list(CUTOFFS)?.every(isUsual) === false)
      refuse(`gemma3n.${CUTOFFS} is not supported; supported is ${SPARSE_CUTOFF} in the first ${SPARSE.blocks} blocks`);
    return {
      ...{ hidden_activation: 'gelu_pytorch_tanh', attention_bias: false, laurel_rank: 64 },
      ...{ altup_num_inputs: 4, altup_active_idx: 0, final_logit_softcapping: 30, num_kv_shared_layers: shared },
      layer_types: windowed.map(each => (each ? 'sliding_attention' : 'full_attention')),
      sliding_window: number(WINDOW),
      rope_local_base_freq: number('rope.freq_base_swa') ?? 1e4,
      hidden_size_per_layer_input: FIXED.embedding_length_per_layer_input,
      vocab_size_per_layer_input: sizes.shapeOf('model.embed_tokens_per_layer.weight')?.[0],
      activation_sparsity_pattern: Array.from({ length: blocks }, (_, i) => (i < SPARSE.blocks ? SPARSE.share : 0)),
    };
  },
};
