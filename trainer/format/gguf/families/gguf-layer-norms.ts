/** Families with layer norms. */
import { type GgufFamily, headNorms, LAYER_NORM_EPSILON, plain, ROTARY_FEATURES, turnedShare, windowOf } from './gguf-family.ts';

/** The key that says whether attention and MLP run side by side. */
export const PARALLEL = 'use_parallel_residual';

/** llama.cpp supports only files with biases. */
export const starcoder2File: GgufFamily = {
  ...plain,
  class: 'Starcoder2ForCausalLM',
  modelType: 'starcoder2',
  computed: ['attention.sliding_window', LAYER_NORM_EPSILON],
  names: { ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
  ignoresWindow: true,
  settings: sizes => ({
    ...{ hidden_act: 'gelu_pytorch_tanh', use_bias: true },
    norm_epsilon: sizes.epsilon,
    sliding_window: windowOf(sizes),
  }),
};

/** llama.cpp supports only an untied head. It knows blocks whose parts run side by side by the norm that they lack, and ignores the key. */
export const stablelmFile: GgufFamily = {
  ...plain,
  class: 'StableLmForCausalLM',
  modelType: 'stablelm',
  computed: [ROTARY_FEATURES, LAYER_NORM_EPSILON, PARALLEL],
  settings: sizes => ({
    ...{ hidden_act: 'silu', tie_word_embeddings: false, head_dim: null },
    layer_norm_eps: sizes.epsilon,
    partial_rotary_factor: turnedShare(sizes),
    use_qkv_bias: sizes.has('model.layers.0.self_attn.q_proj.bias'),
    use_parallel_residual: !sizes.has('model.layers.0.post_attention_layernorm.weight'),
  }),
};

/** llama.cpp has no norms of queries and keys. */
export const phi2File: GgufFamily = {
  ...plain,
  class: 'PhiForCausalLM',
  modelType: 'phi',
  computed: [ROTARY_FEATURES, LAYER_NORM_EPSILON],
  names: { output_norm: 'model.final_layernorm', attn_output: 'self_attn.dense', ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' },
  settings: sizes => ({
    ...{ hidden_act: 'gelu_new', tie_word_embeddings: false, head_dim: null },
    layer_norm_eps: sizes.epsilon,
    partial_rotary_factor: turnedShare(sizes),
  }),
};

/** GPT-2, whose MLPs llama.cpp computes with the approximation of GELU by tanh. */
export const gpt2File: GgufFamily = {
  ...plain,
  class: 'GPT2LMHeadModel',
  modelType: 'gpt2',
  blocksAt: 'transformer.h',
  computed: [LAYER_NORM_EPSILON],
  hasModelMatrices: true,
  learnsPositions: true,
  names: {
    ...{ token_embd: 'transformer.wte', position_embd: 'transformer.wpe', output_norm: 'transformer.ln_f' },
    ...{ attn_norm: 'ln_1', attn_qkv: 'attn.c_attn', attn_output: 'attn.c_proj' },
    ...{ ffn_norm: 'ln_2', ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
  },
  settings: sizes => ({
    layer_norm_epsilon: sizes.epsilon,
    n_inner: sizes.number('feed_forward_length'),
    activation_function: 'gelu_new',
  }),
};

/** llama.cpp supports only a tied head and no biases. */
export const commandRFile: GgufFamily = {
  ...plain,
  class: 'CohereForCausalLM',
  modelType: 'cohere',
  computed: [LAYER_NORM_EPSILON, 'logit_scale'],
  multipliesLogits: true,
  names: headNorms,
  settings: sizes => ({
    ...{ hidden_act: 'silu', attention_bias: false, tie_word_embeddings: true, head_dim: null },
    layer_norm_eps: sizes.epsilon,
    logit_scale: sizes.number('logit_scale') ?? 1,
    use_qk_norm: sizes.has('model.layers.0.self_attn.q_norm.weight'),
  }),
};

export const cohere2File: GgufFamily = {
  ...plain,
  class: 'Cohere2ForCausalLM',
  modelType: 'cohere2',
  computed: ['attention.sliding_window', LAYER_NORM_EPSILON, 'logit_scale'],
  turnsByWindow: true,
  multipliesLogits: true,
  // llama.cpp supports only a tied head and no biases.
  settings: sizes => ({
    ...{ hidden_act: 'silu', attention_bias: false, tie_word_embeddings: true },
    layer_norm_eps: sizes.epsilon,
    logit_scale: sizes.number('logit_scale') ?? 1,
    sliding_window: windowOf(sizes),
    sliding_window_pattern: 4,
  }),
};

/** GPT-NeoX and Pythia. llama.cpp supports only an untied head and biases. */
export const gptNeoXFile: GgufFamily = {
  ...plain,
  class: 'GPTNeoXForCausalLM',
  modelType: 'gpt_neox',
  blocksAt: 'gpt_neox.layers',
  computed: [ROTARY_FEATURES, LAYER_NORM_EPSILON, PARALLEL],
  splitsHeads: true,
  approximatesGelu: true,
  ignoresFrequencyFactors: true,
  names: {
    ...{ token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm', output: 'embed_out' },
    ...{ attn_qkv: 'attention.query_key_value', attn_output: 'attention.dense' },
    ...{ ffn_up: 'mlp.dense_h_to_4h', ffn_down: 'mlp.dense_4h_to_h' },
  },
  settings: sizes => ({
    ...{ hidden_act: 'gelu', tie_word_embeddings: false, head_dim: null },
    layer_norm_eps: sizes.epsilon,
    rotary_pct: turnedShare(sizes),
    rotary_emb_base: sizes.number('rope.freq_base') ?? 1e4,
    use_parallel_residual: sizes.isTrue(PARALLEL),
  }),
};
