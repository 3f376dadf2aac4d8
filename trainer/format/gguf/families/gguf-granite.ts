/** Granite without states and experts, in llama.cpp's format: Llama with multipliers. */
import { type GgufFamily, type GgufSizes, PATTERN, plain, ROTATING, TURNS, windowOf } from './gguf-family.ts';

/** The common parts of Granite's files. */
export const graniteParts = {
  ...plain,
  interleaved: true,
  computed: ['attention.scale', 'embedding_scale', 'residual_scale', 'logit_scale'],
  settings: (sizes: GgufSizes) => ({
    hidden_act: 'silu',
    attention_bias: sizes.has('model.layers.0.self_attn.q_proj.bias'),
    attention_multiplier: sizes.number('attention.scale') ?? sizes.headDim ** -0.5,
    embedding_multiplier: sizes.number('embedding_scale') ?? 1,
    residual_multiplier: sizes.number('residual_scale') ?? 1,
    logits_scaling: sizes.number('logit_scale') ?? 1,
  }),
} as const;

export const graniteFile: GgufFamily = {
  ...graniteParts,
  class: 'GraniteForCausalLM',
  modelType: 'granite',
  writes: ['GraniteForCausalLM', 'GraniteMoeHybridForCausalLM'],
  // llama.cpp does not apply RoPE if it is false.
  only: { [TURNS]: true },
};

/** Granite with windows and sinks. In llama.cpp, all blocks that rotate have the same base. */
export const graniteSwaFile: GgufFamily = {
  ...graniteParts,
  class: 'GraniteSWAForCausalLM',
  modelType: 'granite_swa',
  computed: [...graniteParts.computed, 'attention.sliding_window', PATTERN, ROTATING],
  turnsByWindow: true,
  names: { 'attn_sinks.weight': 'self_attn.sinks' },
  settings: sizes => {
    const base = sizes.number('rope.freq_base') ?? 10000;
    return {
      ...graniteParts.settings(sizes),
      sliding_window: windowOf(sizes),
      layer_types: sizes.list(PATTERN)?.map(isWindowed => (isWindowed ? 'sliding_attention' : 'full_attention')),
      layer_rope_theta: sizes.list(ROTATING)?.map(rotates => (rotates ? base : 0)),
    };
  },
};
