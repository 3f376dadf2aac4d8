/** The models that both sides train, and the batch of each. Their steps differ in kind, not only in size. */
import { namesOf } from '../trainer/catalog/entries.ts';
import { gemma3, paperModels, qwen3, qwen3Moe, smolLm2 } from './memory/memory-models.ts';

export type ModelName = 'smollm2' | 'minilm' | 'deberta' | 'vit' | 'resnet' | 'gemma' | 'experts' | GpuModel;
/** Models of `--part gpu`; the tiny one is for a trial. */
export type GpuModel = 'smollm2-1.7b' | 'llama3-8b' | 'qwen3-8b' | 'tiny';

export interface BenchModel {
  readonly title: string;
  /** `generated`: bfloat16 values from a seed, which are fast to generate. */
  readonly weights: 'real' | 'random' | 'generated';
  readonly batch: number;
  /** Length of a sequence; 1 for images. */
  readonly tokens: number;
  /** Number of rows per layer that SPSFT trains: the even number with the parameter count closest to LoRA's at LORA_RANK. */
  readonly rows: number;
  /** Number of columns with the closest parameter count, for a language model. */
  readonly columns?: number;
  /** True if Transformers does not support gradient checkpointing for the model. */
  readonly withoutCheckpointing?: true;
  /** True if PEFT's SHiRA, which supports only linear layers, has none to train. */
  readonly convolutional?: true;
  /** True if experts are trained, too. PEFT targets their parameters, with LoRA only and without dropout. */
  readonly withExperts?: true;
  /** True if a step takes many seconds; a brief run then has only SPSFT and LoRA. */
  readonly slow?: true;
  /** First guess of the cost of a step, relative to SmolLM2-135M. */
  readonly cost: number;
}

export const LORA_RANK = 16;

export const benchModels: Readonly<Record<ModelName, BenchModel>> = {
  smollm2: { title: 'SmolLM2-135M', weights: 'real', batch: 2, tokens: 256, rows: 32, columns: 32, cost: 1 },
  minilm: { title: 'MiniLM-L6', weights: 'real', batch: 8, tokens: 128, rows: 32, cost: 0.18 },
  deberta: { title: 'DeBERTa-v3-base', weights: 'random', batch: 4, tokens: 128, rows: 32, cost: 0.7 },
  vit: { title: 'ViT-small', weights: 'random', batch: 8, tokens: 1, rows: 32, cost: 0.6 },
  resnet: {
    title: 'ResNet-50',
    weights: 'random',
    batch: 8,
    tokens: 1,
    rows: 24,
    withoutCheckpointing: true,
    convolutional: true,
    cost: 0.7,
  },
  gemma: { title: 'Gemma 3 270M', weights: 'real', batch: 2, tokens: 256, rows: 34, columns: 30, slow: true, cost: 2 },
  experts: {
    title: 'Qwen3-MoE of 6 layers and 32 experts',
    weights: 'random',
    batch: 2,
    tokens: 256,
    rows: 28,
    withExperts: true,
    cost: 0.5,
  },
  'smollm2-1.7b': { title: 'SmolLM2-1.7B', weights: 'generated', batch: 1, tokens: 2048, rows: 36, cost: 50 },
  'llama3-8b': { title: 'Llama-3-8B', weights: 'generated', batch: 1, tokens: 2048, rows: 34, cost: 240 },
  'qwen3-8b': { title: 'Qwen3-8B', weights: 'generated', batch: 1, tokens: 2048, rows: 32, cost: 240 },
  tiny: { title: 'a tiny Llama', weights: 'generated', batch: 1, tokens: 32, rows: 34, cost: 0.01 },
};

/** The models of the frontier. */
export const MODEL_NAMES = namesOf(benchModels).filter(name => benchModels[name].weights !== 'generated');

/** The keys by which both sides recognize the architecture. */
const LLAMA = { architectures: ['LlamaForCausalLM'], model_type: 'llama' } as const;

const numbered = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [i, `label ${i}`]));
const labeled = (count: number) => ({
  id2label: numbered(count),
  label2id: Object.fromEntries(Object.entries(numbered(count)).map(([id, name]) => [name, Number(id)])),
});

/**
 * The config.json of each bench folder. No model has dropout of its own, because masks drawn by the two sides would give different losses.
 * MiniLM's config comes from its own folder, with these keys replaced.
 */
export const benchConfigs = {
  smollm2: smolLm2,
  minilm: {
    architectures: ['BertForSequenceClassification'],
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    ...labeled(2),
  },
  deberta: {
    architectures: ['DebertaV2ForSequenceClassification'],
    model_type: 'deberta-v2',
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    vocab_size: 128100,
    max_position_embeddings: 512,
    relative_attention: true,
    max_relative_positions: -1,
    position_buckets: 256,
    norm_rel_ebd: 'layer_norm',
    share_att_key: true,
    pos_att_type: ['p2c', 'c2p'],
    position_biased_input: false,
    type_vocab_size: 0,
    layer_norm_eps: 1e-7,
    hidden_act: 'gelu',
    pooler_hidden_act: 'gelu',
    pooler_hidden_size: 768,
    pooler_dropout: 0,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    ...labeled(2),
  },
  vit: {
    architectures: ['ViTForImageClassification'],
    model_type: 'vit',
    hidden_size: 384,
    num_hidden_layers: 12,
    num_attention_heads: 6,
    intermediate_size: 1536,
    image_size: 224,
    patch_size: 16,
    num_channels: 3,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    qkv_bias: true,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    ...labeled(100),
  },
  resnet: {
    architectures: ['ResNetForImageClassification'],
    model_type: 'resnet',
    num_channels: 3,
    embedding_size: 64,
    hidden_sizes: [256, 512, 1024, 2048],
    depths: [3, 4, 6, 3],
    layer_type: 'bottleneck',
    hidden_act: 'relu',
    downsample_in_first_stage: false,
    downsample_in_bottleneck: false,
    ...labeled(100),
  },
  gemma: gemma3,
  experts: qwen3Moe,
  'smollm2-1.7b': {
    ...smolLm2,
    ...LLAMA,
    ...{ hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 24, num_attention_heads: 32, num_key_value_heads: 32 },
    rope_theta: 130000,
  },
  'llama3-8b': { ...paperModels['Llama-3-8B'], ...LLAMA },
  'qwen3-8b': qwen3({ model_type: 'qwen3', hidden_size: 4096, intermediate_size: 12288, num_hidden_layers: 36, num_attention_heads: 32 }),
  tiny: {
    ...smolLm2,
    ...LLAMA,
    ...{ hidden_size: 128, intermediate_size: 384, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 512 },
  },
} as const satisfies Readonly<Record<ModelName, object>>;
