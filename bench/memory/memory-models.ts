/** The configs of the models whose memory is measured or predicted, without weights. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export type Config = Readonly<Record<string, unknown>>;

/** The config of a tiny model in test/golden. */
export const goldenConfig = (root: string, name: string): Config =>
  // A config.json is an object.
  JSON.parse(readFileSync(path.join(root, 'test', 'golden', name, 'config.json'), 'utf8')) as Config;

/** all-MiniLM-L6-v2 with a head for three labels. */
export const miniLm: Config = {
  architectures: ['BertModel'],
  hidden_size: 384,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  intermediate_size: 1536,
  vocab_size: 30522,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  id2label: { 0: 'a', 1: 'b', 2: 'c' },
};

/** Llama-3.2-1B with the vocabulary of SmolLM2, whose tokenizer is available. */
export const llama1b: Config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  vocab_size: 49152,
  tie_word_embeddings: true,
};

/** SmolLM2-135M. */
export const smolLm2: Config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  vocab_size: 49152,
  tie_word_embeddings: true,
};

/** Gemma 3 270M: a vocabulary larger than the blocks, attention windows, and a norm per head. */
export const gemma3: Config = {
  architectures: ['Gemma3ForCausalLM'],
  model_type: 'gemma3_text',
  hidden_size: 640,
  intermediate_size: 2048,
  num_hidden_layers: 18,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 256,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  sliding_window: 512,
  vocab_size: 262144,
  tie_word_embeddings: true,
};

/** A mixture of 32 experts, four per token: 97 million parameters. */
export const qwen3Moe: Config = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 512,
  intermediate_size: 1536,
  num_hidden_layers: 6,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 64,
  num_experts: 32,
  num_experts_per_tok: 4,
  moe_intermediate_size: 256,
  norm_topk_prob: true,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  vocab_size: 32000,
  tie_word_embeddings: true,
};

/** A Llama that is small enough for the portable engine. */
export const smallLlama: Config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 768,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  vocab_size: 16000,
  tie_word_embeddings: true,
};

const llama: Config = { architectures: ['LlamaForCausalLM'], rms_norm_eps: 1e-5, tie_word_embeddings: false };

const base = { hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 } as const;

interface FamilyModel {
  readonly config: Config;
  readonly task: 'causal_lm' | 'sequence_classification' | 'image_classification';
}

const reads = (architecture: string, config: Config): FamilyModel => ({
  config: { architectures: [`${architecture}ForSequenceClassification`], id2label: { 0: 'a', 1: 'b', 2: 'c' }, ...config },
  task: 'sequence_classification',
});
const sees = (architecture: string, config: Config = {}): FamilyModel => ({
  config: { architectures: [`${architecture}ForImageClassification`], id2label: { 0: 'a', 1: 'b', 2: 'c' }, ...config },
  task: 'image_classification',
});

const sixLayers = {
  ...{ hidden_size: 512, intermediate_size: 1536, num_hidden_layers: 6, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 64 },
  ...{ vocab_size: 32000, max_position_embeddings: 4096, tie_word_embeddings: true },
} as const;
const writes = (architecture: string, config: Config = {}): FamilyModel => ({
  config: { architectures: [`${architecture}ForCausalLM`], ...sixLayers, ...config },
  task: 'causal_lm',
});

/** Decoders of one size with the special features of their families, and Gemma 3 as published. */
export const decoderModels: Readonly<Record<string, FamilyModel>> = {
  'Qwen3, 6 layers': writes('Qwen3'),
  'Qwen3.5, 8 layers': writes('Qwen3_5', {
    ...{ num_hidden_layers: 8, linear_num_key_heads: 4, linear_num_value_heads: 8, linear_key_head_dim: 64, linear_value_head_dim: 64 },
  }),
  'Qwen3-Next, 8 layers': writes('Qwen3Next', {
    ...{ num_hidden_layers: 8, linear_num_key_heads: 4, linear_num_value_heads: 8, linear_key_head_dim: 64, linear_value_head_dim: 64 },
    ...{ moe_intermediate_size: 256, shared_expert_intermediate_size: 256, num_experts: 16, num_experts_per_tok: 4 },
  }),
  'Gemma 2, 6 layers': writes('Gemma2', { query_pre_attn_scalar: 64, sliding_window: 128 }),
  'Gemma 4, 6 layers': writes('Gemma4', {
    ...{ global_head_dim: 128, sliding_window: 128, num_kv_shared_layers: 2, use_double_wide_mlp: true },
    ...{
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
    },
    ...{ hidden_size_per_layer_input: 64, vocab_size_per_layer_input: 32000 },
  }),
  'Gemma 3n, 6 layers': writes('Gemma3n', {
    ...{ intermediate_size: [1536, 1536, 1536, 1536, 1536, 1536], sliding_window: 128, num_kv_shared_layers: 2, laurel_rank: 32 },
    ...{
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
    },
    ...{ activation_sparsity_pattern: [0.95, 0.95, 0, 0, 0, 0], hidden_size_per_layer_input: 64, vocab_size_per_layer_input: 32000 },
  }),
  'NanoChat, 6 layers': writes('NanoChat', { pad_token_id: 0 }),
  'Phi-3, 6 layers': writes('Phi3', { pad_token_id: 0 }),
  'SmolLM3, 6 layers': writes('SmolLM3', { pad_token_id: 0 }),
  'OLMo 3, 6 layers': writes('Olmo3', { sliding_window: 128, pad_token_id: 0 }),
  'Granite, 6 layers': writes('Granite', { embedding_multiplier: 12, logits_scaling: 8 }),
  'Mixtral, 6 layers': writes('Mixtral', { intermediate_size: 512, num_local_experts: 8, num_experts_per_tok: 2 }),
  'Qwen3-MoE, 6 layers': writes('Qwen3Moe', { moe_intermediate_size: 256, num_experts: 16, num_experts_per_tok: 4 }),
  'LFM2 with experts, 6 layers': writes('Lfm2Moe', {
    ...{ layer_types: ['conv', 'conv', 'full_attention', 'conv', 'full_attention', 'conv'] },
    ...{ moe_intermediate_size: 256, num_experts: 16, num_experts_per_tok: 4, pad_token_id: 0 },
  }),
  'Granite 4 with Mamba and experts, 6 layers': writes('GraniteMoeHybrid', {
    ...{ layer_types: ['mamba', 'mamba', 'attention', 'mamba', 'mamba', 'mamba'], mamba_n_heads: 16, mamba_d_state: 128 },
    ...{ intermediate_size: 256, shared_intermediate_size: 512, num_local_experts: 16, num_experts_per_tok: 4, logits_scaling: 8 },
  }),
  'GLM-4 with experts, 6 layers': writes('Glm4Moe', {
    ...{ moe_intermediate_size: 256, n_routed_experts: 16, num_experts_per_tok: 4, n_group: 4, topk_group: 2 },
  }),
  'DeepSeek-V3, 6 layers': writes('DeepseekV3', {
    ...{ num_key_value_heads: 8, q_lora_rank: 192, kv_lora_rank: 128, qk_nope_head_dim: 64, v_head_dim: 64, first_k_dense_replace: 1 },
    ...{ moe_intermediate_size: 256, n_routed_experts: 16, num_experts_per_tok: 4, n_group: 4, topk_group: 2 },
  }),
  'gpt-oss, 6 layers': writes('GptOss', { intermediate_size: 512, num_local_experts: 8, num_experts_per_tok: 2 }),
  'Gemma 3 270M': { config: gemma3, task: 'causal_lm' },
};

/** Published sizes of the other families of encoders and vision models. */
export const familyModels: Readonly<Record<string, FamilyModel>> = {
  'DistilBERT-base': reads('DistilBert', {
    vocab_size: 30522,
    max_position_embeddings: 512,
    dim: 768,
    hidden_dim: 3072,
    n_layers: 6,
    n_heads: 12,
  }),
  'ELECTRA-small': reads('Electra', {
    ...{ vocab_size: 30522, embedding_size: 128, hidden_size: 256, num_hidden_layers: 12, num_attention_heads: 4 },
    ...{ intermediate_size: 1024, max_position_embeddings: 512 },
  }),
  'ALBERT-base': reads('Albert', { ...base, vocab_size: 30000, embedding_size: 128, max_position_embeddings: 512 }),
  'ModernBERT-base': reads('ModernBert', {
    ...base,
    num_hidden_layers: 22,
    intermediate_size: 1152,
    vocab_size: 50368,
    max_position_embeddings: 8192,
  }),
  'DINOv2-small': sees('Dinov2', { hidden_size: 384, num_hidden_layers: 12, num_attention_heads: 6, image_size: 518, patch_size: 14 }),
  'DINOv3-small': sees('DINOv3ViT', {
    hidden_size: 384,
    num_hidden_layers: 12,
    num_attention_heads: 6,
    intermediate_size: 1536,
    num_register_tokens: 4,
  }),
  'ConvNeXt-tiny': sees('ConvNext'),
  'ConvNeXt-V2-atto': sees('ConvNextV2', { hidden_sizes: [40, 80, 160, 320], depths: [2, 2, 6, 2] }),
  'Swin-tiny': sees('Swin'),
  'SigLIP-base': sees('Siglip', { vision_config: { ...base, image_size: 224, patch_size: 16 }, text_config: {} }),
};

/** Returns the config of a dense Qwen3 of the given sizes. */
export const qwen3 = <Sizes extends Config>(sizes: Sizes) => ({
  ...{ architectures: ['Qwen3ForCausalLM'], rms_norm_eps: 1e-6, rope_theta: 1e6, vocab_size: 151936, max_position_embeddings: 40960 },
  ...{ head_dim: 128, num_key_value_heads: 8, tie_word_embeddings: false, ...sizes },
});

/** The models in the paper's table 7 and in its estimate for 405 billion parameters. */
export const paperModels = {
  'Llama-2-7B': {
    ...llama,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    vocab_size: 32000,
    max_position_embeddings: 4096,
  },
  'Llama-3-8B': {
    ...llama,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 8192,
    rope_theta: 500000,
  },
  'Llama-3-70B': {
    ...llama,
    hidden_size: 8192,
    intermediate_size: 28672,
    num_hidden_layers: 80,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 8192,
    rope_theta: 500000,
  },
  'Llama-3-405B': {
    ...llama,
    hidden_size: 16384,
    intermediate_size: 53248,
    num_hidden_layers: 126,
    num_attention_heads: 128,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 131072,
    rope_theta: 500000,
  },
} as const satisfies Readonly<Record<string, Config>>;
