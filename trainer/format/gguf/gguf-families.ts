/** The families that are read from GGUF, by llama.cpp's name of the architecture: what differs from Llama's files. */

/** Settings of config.json from numbers of the metadata. */
export interface GgufSizes {
  readonly hidden: number;
  readonly blocks: number;
  readonly heads: number;
  readonly headDim: number;
  /** A number of the metadata under the architecture's name, where the file has it. */
  readonly number: (key: string) => number | undefined;
  /** Whether there is a tensor of Hugging Face's name. */
  readonly has: (tensor: string) => boolean;
}

export interface GgufFamily {
  readonly class: string;
  readonly modelType: string;
  /** Keys of the metadata that this family computes and others refuse. */
  readonly computed: readonly string[];
  /** Names in a block that are not Llama's. */
  readonly names: Readonly<Record<string, string>>;
  /** What the converter added to the weights of norms. */
  readonly normOffset: 0 | 1;
  /** Rows of q and k are stored with the halves of each head interleaved. */
  readonly interleaved: boolean;
  readonly settings: (sizes: GgufSizes) => Record<string, unknown>;
}

const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' } as const;
const plain = { computed: [], names: {}, normOffset: 0, interleaved: false } as const;

/** llama.cpp knows the largest model of each Gemma by its blocks: only its scale is not that of the head size. */
const gemma = (largest: number, { hidden, blocks, heads, headDim, number, has }: GgufSizes): Record<string, unknown> => ({
  hidden_activation: 'gelu_pytorch_tanh',
  query_pre_attn_scalar: blocks === largest ? hidden / heads : headDim,
  sliding_window: number('attention.sliding_window') ?? 4096,
  attention_bias: has('model.layers.0.self_attn.q_proj.bias'),
});

const gemmaFile = {
  normOffset: 1,
  interleaved: false,
  names: {
    ffn_norm: 'pre_feedforward_layernorm',
    post_attention_norm: 'post_attention_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
} as const;

const ofLlama = ({ has }: GgufSizes) => ({ hidden_act: 'silu', attention_bias: has('model.layers.0.self_attn.q_proj.bias') });
const softCaps = ['attn_logit_softcapping', 'final_logit_softcapping'] as const;

export const ggufFamilies: Readonly<Record<string, GgufFamily>> = {
  llama: { ...plain, class: 'LlamaForCausalLM', modelType: 'llama', interleaved: true, settings: ofLlama },
  mistral: {
    ...plain,
    class: 'MistralForCausalLM',
    modelType: 'mistral',
    computed: ['attention.sliding_window'],
    settings: sizes => ({ ...ofLlama(sizes), sliding_window: sizes.number('attention.sliding_window') ?? null }),
  },
  qwen2: {
    ...plain,
    class: 'Qwen2ForCausalLM',
    modelType: 'qwen2',
    settings: () => ({ hidden_act: 'silu', use_sliding_window: false }),
  },
  qwen3: {
    ...plain,
    class: 'Qwen3ForCausalLM',
    modelType: 'qwen3',
    names: headNorms,
    settings: sizes => ({ ...ofLlama(sizes), use_sliding_window: false }),
  },
  gemma2: {
    ...gemmaFile,
    class: 'Gemma2ForCausalLM',
    modelType: 'gemma2',
    computed: ['attention.sliding_window', ...softCaps],
    settings: sizes => ({
      ...gemma(46, sizes),
      attn_logit_softcapping: sizes.number(softCaps[0]) ?? 50,
      final_logit_softcapping: sizes.number(softCaps[1]) ?? 30,
    }),
  },
  gemma3: {
    ...gemmaFile,
    class: 'Gemma3ForCausalLM',
    modelType: 'gemma3_text',
    computed: ['attention.sliding_window', 'rope.freq_base_swa', softCaps[1]],
    names: { ...gemmaFile.names, ...headNorms },
    settings: sizes => ({
      ...gemma(62, sizes),
      sliding_window_pattern: 6,
      rope_local_base_freq: sizes.number('rope.freq_base_swa') ?? 10000,
      final_logit_softcapping: sizes.number(softCaps[1]) ?? null,
    }),
  },
};
