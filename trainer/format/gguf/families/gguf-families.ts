/** The families that can be read from GGUF, by llama.cpp's name of the architecture, described by their differences from Llama's files. */
import type { GgufValue } from '../gguf-cursor.ts';
import { apertusFile } from './gguf-apertus.ts';
import {
  chosenExperts,
  ernieMoeFile,
  expertKeys,
  expertNames,
  expertWidth,
  glm4MoeFile,
  gptOssFile,
  graniteMoeFile,
  lfm2MoeFile,
  mixtralFile,
  qwen2MoeFile,
} from './gguf-experts.ts';
import { type GgufFamily, type GgufSizes, headNorms, PATTERN, plain, ROTARY_FEATURES, turnedShare, windowOf } from './gguf-family.ts';
import { gemma3nFile } from './gguf-gemma3n.ts';
import { gemma4File } from './gguf-gemma4.ts';
import { graniteFile, graniteParts, graniteSwaFile } from './gguf-granite.ts';
import { youtuFile } from './gguf-latent.ts';
import { cohere2File, commandRFile, gpt2File, gptNeoXFile, phi2File, stablelmFile, starcoder2File } from './gguf-layer-norms.ts';
import { nemotronFile, nemotronMoeFile } from './gguf-nemotron.ts';
import { falconH1File, graniteHybridFile, qwen3NextFile, qwen35File, qwen35MoeFile } from './gguf-recurrent.ts';
import { GRID_SECTIONS, glm4vFile, paddleOcrFile, qwen2VlFile, qwen3VlFile } from './gguf-vision.ts';

export type { GgufFamily } from './gguf-family.ts';

export interface FoundFamily {
  /** llama.cpp's name of the architecture. */
  readonly architecture: string;
  readonly family: GgufFamily;
}

/** Returns the family of a file from its metadata; undefined if it is not supported. */
export function ggufFamily(metadata: ReadonlyMap<string, GgufValue>): FoundFamily | undefined {
  const architecture = metadata.get('general.architecture');
  const family = typeof architecture === 'string' && Object.hasOwn(ggufFamilies, architecture) ? ggufFamilies[architecture] : undefined;
  if (typeof architecture !== 'string' || family === undefined) return undefined;
  const hasExperts = Number(metadata.get(`${architecture}.expert_count`) ?? 0) > 0;
  const sections = metadata.get(`${architecture}.${GRID_SECTIONS}`);
  // As llama.cpp knows them (`llama_hparams::use_mrope`).
  const hasGrid = Array.isArray(sections) && Number(sections[0]) > 0 && Number(sections[1]) > 0;
  return { architecture, family: (hasExperts && family.withExperts) || (hasGrid && family.withGrid) || family };
}

/**
 * llama.cpp recognizes the largest model of each Gemma by its number of blocks: only that model's attention scale does not follow from the
 * head size.
 */
const gemma = (largest: number, { hidden, blocks, heads, headDim, number, has }: GgufSizes): Record<string, unknown> => ({
  hidden_activation: 'gelu_pytorch_tanh',
  query_pre_attn_scalar: blocks === largest ? hidden / heads : headDim,
  sliding_window: number('attention.sliding_window') ?? 4096,
  attention_bias: has('model.layers.0.self_attn.q_proj.bias'),
});

const normsBehind = {
  post_attention_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
} as const;

const gemmaFile = {
  pieces: 'gemma',
  normOffset: 1,
  interleaved: false,
  names: {
    ffn_norm: 'pre_feedforward_layernorm',
    ...normsBehind,
  },
} as const;

const ofLlama = ({ has }: GgufSizes) => ({ hidden_act: 'silu', attention_bias: has('model.layers.0.self_attn.q_proj.bias') });

const glmFile = {
  ...plain,
  computed: [ROTARY_FEATURES],
  names: { ffn_up: 'mlp.gate_up_proj' },
  settings: (sizes: GgufSizes) => ({ ...ofLlama(sizes), partial_rotary_factor: turnedShare(sizes) }),
} as const;

const glm4File: GgufFamily = {
  ...glmFile,
  class: 'Glm4ForCausalLM',
  modelType: 'glm4',
  names: { ...glmFile.names, post_attention_norm: 'post_self_attn_layernorm', post_ffw_norm: 'post_mlp_layernorm' },
};

/** The number of blocks by which llama.cpp recognizes the EXAONE 4 model with windows. */
const EXAONE4_WINDOWED = 64;

/** This key has one value per block in some families. */
const kvHeads = 'attention.head_count_kv';

const lfm2File: GgufFamily = {
  ...plain,
  class: 'Lfm2ForCausalLM',
  modelType: 'lfm2',
  computed: ['shortconv.l_cache'],
  lists: [kvHeads],
  squeezed: /\.shortconv\.conv\.weight$/,
  names: {
    ...{ attn_norm: 'operator_norm', ffn_norm: 'ffn_norm', attn_output: 'self_attn.out_proj' },
    ...{ attn_q_norm: 'self_attn.q_layernorm', attn_k_norm: 'self_attn.k_layernorm' },
    ...{ ffn_gate: 'feed_forward.w1', ffn_up: 'feed_forward.w3', ffn_down: 'feed_forward.w2' },
    ...{ 'shortconv.in_proj': 'conv.in_proj', 'shortconv.conv': 'conv.conv', 'shortconv.out_proj': 'conv.out_proj' },
  },
  settings: ({ number, list, blocks, epsilon }) => ({
    norm_eps: epsilon,
    conv_L_cache: number('shortconv.l_cache'),
    // A block without key-value heads is a convolution.
    layer_types: Array.from({ length: blocks }, (_, i) => (list(kvHeads)?.[i] === 0 ? 'conv' : 'full_attention')),
  }),
};

const softCaps = ['attn_logit_softcapping', 'final_logit_softcapping'] as const;

const qwen2File: GgufFamily = {
  ...plain,
  class: 'Qwen2ForCausalLM',
  modelType: 'qwen2',
  settings: () => ({ hidden_act: 'silu', use_sliding_window: false }),
};

const qwen3File: GgufFamily = {
  ...plain,
  class: 'Qwen3ForCausalLM',
  modelType: 'qwen3',
  names: headNorms,
  settings: sizes => ({ ...ofLlama(sizes), use_sliding_window: false }),
};

/** llama.cpp divides the weights of the chosen experts by their sum, and has experts in all blocks. */
const qwen3MoeFile: GgufFamily = {
  ...plain,
  class: 'Qwen3MoeForCausalLM',
  modelType: 'qwen3_moe',
  computed: [...expertKeys, expertWidth],
  names: { ...headNorms, ...expertNames, ffn_gate_inp: 'mlp.gate' },
  settings: sizes => ({
    ...ofLlama(sizes),
    ...chosenExperts(sizes),
    num_experts: sizes.number('expert_count'),
    moe_intermediate_size: sizes.number(expertWidth),
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    use_sliding_window: false,
  }),
};

export const ggufFamilies: Readonly<Record<string, GgufFamily>> = {
  llama: {
    ...plain,
    class: 'LlamaForCausalLM',
    modelType: 'llama',
    // llama.cpp does not support windows here, so a Mistral with a window cannot be written.
    writes: ['LlamaForCausalLM', 'MistralForCausalLM', 'InternLM3ForCausalLM', 'IQuestCoderForCausalLM'],
    interleaved: true,
    settings: ofLlama,
    withExperts: mixtralFile,
  },
  mistral: {
    ...plain,
    class: 'MistralForCausalLM',
    modelType: 'mistral',
    writes: [],
    computed: ['attention.sliding_window'],
    settings: sizes => ({ ...ofLlama(sizes), sliding_window: windowOf(sizes) }),
  },
  qwen2: qwen2File,
  qwen2vl: qwen2VlFile(qwen2File),
  qwen3: qwen3File,
  qwen3vl: qwen3VlFile(qwen3File, 'Qwen3VLTextModel'),
  qwen2moe: qwen2MoeFile,
  qwen35: qwen35File,
  qwen35moe: qwen35MoeFile,
  qwen3next: qwen3NextFile,
  gemma: {
    ...gemmaFile,
    class: 'GemmaForCausalLM',
    modelType: 'gemma',
    computed: [],
    names: {},
    // llama.cpp supports only a tied head and no biases.
    settings: () => ({ hidden_act: 'gelu_pytorch_tanh', attention_bias: false, tie_word_embeddings: true }),
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
  gemma3n: gemma3nFile,
  gemma4: gemma4File,
  phi3: {
    ...plain,
    class: 'Phi3ForCausalLM',
    modelType: 'phi3',
    computed: ['attention.sliding_window', 'rope.scaling.attn_factor', 'rope.dimension_count'],
    names: { attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' },
    pieces: 'phi3',
    ignoresWindow: true,
    settings: sizes => ({ hidden_act: 'silu', head_dim: null, sliding_window: windowOf(sizes) }),
  },
  smollm3: {
    ...plain,
    class: 'SmolLM3ForCausalLM',
    modelType: 'smollm3',
    interleaved: true,
    settings: sizes => ({ ...ofLlama(sizes), no_rope_layer_interval: 4, use_sliding_window: false }),
  },
  // OLMo 3 has the same name in llama.cpp, and uses windows.
  olmo2: {
    ...plain,
    class: 'Olmo2ForCausalLM',
    modelType: 'olmo2',
    writes: ['Olmo2ForCausalLM', 'Olmo3ForCausalLM'],
    computed: ['attention.sliding_window', PATTERN],
    names: { ...headNorms, ...normsBehind },
    settings: sizes => {
      const window = windowOf(sizes);
      return {
        ...ofLlama(sizes),
        ...(window !== null && { architectures: ['Olmo3ForCausalLM'], model_type: 'olmo3', sliding_window: window }),
      };
    },
  },
  // llama.cpp does not normalize the chosen experts' weights, and requires as many key as query heads and an untied head.
  olmoe: {
    ...plain,
    class: 'OlmoeForCausalLM',
    modelType: 'olmoe',
    computed: expertKeys,
    names: { ...headNorms, ...expertNames, ffn_gate_inp: 'mlp.gate' },
    settings: sizes => ({
      ...{ hidden_act: 'silu', attention_bias: false, norm_topk_prob: false, tie_word_embeddings: false },
      num_key_value_heads: sizes.heads,
      ...chosenExperts(sizes),
      num_experts: sizes.number('expert_count'),
    }),
  },
  granite: graniteFile,
  granitemoe: graniteMoeFile(graniteParts),
  granitehybrid: graniteHybridFile(graniteParts),
  granite_swa: graniteSwaFile,
  'falcon-h1': falconH1File,
  nemotron_h: nemotronFile,
  nemotron_h_moe: nemotronMoeFile,
  lfm2: { ...lfm2File, settings: sizes => ({ ...lfm2File.settings(sizes), block_auto_adjust_ff_dim: false }) },
  lfm2moe: lfm2MoeFile(lfm2File),
  chatglm: { ...glmFile, class: 'GlmForCausalLM', modelType: 'glm' },
  glm4: { ...glm4File, withGrid: glm4vFile(glm4File) },
  glm4moe: glm4MoeFile,
  deepseek2: youtuFile,
  exaone4: {
    ...plain,
    class: 'Exaone4ForCausalLM',
    modelType: 'exaone4',
    computed: ['attention.sliding_window', PATTERN],
    turnsByWindow: true,
    names: { ...headNorms, ...normsBehind },
    settings: sizes => ({
      hidden_act: 'silu',
      sliding_window: sizes.blocks === EXAONE4_WINDOWED ? (windowOf(sizes) ?? 4096) : null,
      sliding_window_pattern: 4,
    }),
  },
  seed_oss: {
    ...plain,
    class: 'SeedOssForCausalLM',
    modelType: 'seed_oss',
    names: { post_attention_norm: 'post_attention_layernorm' },
    settings: sizes => ({ ...ofLlama(sizes), attention_out_bias: sizes.has('model.layers.0.self_attn.o_proj.bias') }),
  },
  starcoder2: starcoder2File,
  stablelm: stablelmFile,
  phi2: phi2File,
  gpt2: gpt2File,
  gptneox: gptNeoXFile,
  apertus: apertusFile,
  // llama.cpp has no biases.
  arcee: {
    ...plain,
    class: 'ArceeForCausalLM',
    modelType: 'arcee',
    interleaved: true,
    settings: () => ({ hidden_act: 'relu2', attention_bias: false }),
  },
  // llama.cpp has no biases behind attention and in MLPs.
  ernie4_5: {
    ...plain,
    class: 'Ernie4_5ForCausalLM',
    modelType: 'ernie4_5',
    settings: () => ({ hidden_act: 'silu', use_bias: false }),
  },
  'ernie4_5-moe': ernieMoeFile,
  paddleocr: paddleOcrFile,
  // The file contains the stretched base.
  'hunyuan-dense': {
    ...plain,
    class: 'HunYuanDenseV1ForCausalLM',
    modelType: 'hunyuan_v1_dense',
    names: { attn_q_norm: 'self_attn.query_layernorm', attn_k_norm: 'self_attn.key_layernorm' },
    settings: ofLlama,
  },
  'command-r': commandRFile,
  cohere2: cohere2File,
  qwen3moe: qwen3MoeFile,
  qwen3vlmoe: qwen3VlFile(qwen3MoeFile, 'Qwen3VLMoeTextModel'),
  'gpt-oss': gptOssFile,
  mistral3: {
    ...plain,
    class: 'Ministral3ForCausalLM',
    modelType: 'ministral3',
    interleaved: true,
    computed: ['attention.temperature_scale', 'rope.scaling.yarn_log_multiplier'],
    settings: () => ({ hidden_act: 'silu', sliding_window: null }),
    yarn: number => {
      const [logMultiplier, growth] = [number('rope.scaling.yarn_log_multiplier'), number('attention.temperature_scale')];
      return {
        ...(logMultiplier !== undefined && { mscale: 1, mscale_all_dim: logMultiplier }),
        ...(growth !== undefined && { llama_4_scaling_beta: Number(growth.toPrecision(7)) }),
      };
    },
  },
};

/**
 * Returns the names and descriptions that a class can be written under; empty if it cannot be written. The first is used for this class
 * only.
 */
export const ggufFamiliesOf = (className: string): readonly (GgufFamily & { readonly architecture: string })[] =>
  written
    .filter(({ family }) => writtenClasses(family).includes(className))
    .map(({ family, architecture }) => ({ ...family, architecture }))
    .sort((a, b) => Number(b.class === className) - Number(a.class === className));

const written: readonly FoundFamily[] = Object.entries(ggufFamilies).flatMap(([architecture, family]) =>
  [family, family.withExperts, family.withGrid].flatMap(each => each ?? []).map(each => ({ architecture, family: each })),
);

const writtenClasses = (family: GgufFamily): readonly string[] => family.writes ?? [family.class];

/** All classes that can be written. */
export const ggufClasses: readonly string[] = [...new Set(written.flatMap(({ family }) => writtenClasses(family)))];
