/** Reads the config.json of a Llama-like model, of older and newer Transformers alike. */
import { z } from 'zod';
import { activations } from '../layer/activation.ts';
import type { RopeScaling } from '../layer/rotary.ts';
import { ModelConfigError } from '../model-spec.ts';
import type { LlamaConfig } from './llama.ts';

/** Sizes beyond these are a broken file, not a model: four times Llama 3.1 405B. */
const size = (most: number) => z.number().int().positive().max(most);

const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: z.number().int().positive().optional(),
});

const configSchema = z.looseObject({
  vocab_size: size(2 ** 20),
  hidden_size: size(65536),
  intermediate_size: size(262144),
  num_hidden_layers: size(512),
  num_attention_heads: size(1024),
  num_key_value_heads: size(1024).nullish(),
  head_dim: size(1024).nullish(),
  max_position_embeddings: size(2 ** 24),
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  hidden_act: z.string().default('silu'),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  sliding_window: z.number().int().positive().nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.number().int().nonnegative().nullish(),
  layer_types: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(512)
    .nullish(),
});

/** Transformers' default for Qwen2. */
const QWEN2_MAX_WINDOW_LAYERS = 28;

const families = {
  LlamaForCausalLM: 'llama',
  MistralForCausalLM: 'mistral',
  Qwen2ForCausalLM: 'qwen2',
} as const;

/** @throws ModelConfigError with every key that is missing or out of bounds */
export function llamaConfig(architecture: keyof typeof families, json: Readonly<Record<string, unknown>>): LlamaConfig {
  const parsed = configSchema.safeParse(json);
  if (!parsed.success)
    throw new ModelConfigError(
      `config.json does not describe a ${architecture}: ${parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
    );
  const c = parsed.data;
  const family = families[architecture];
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const wrong: string[] = [];
  if (!Number.isInteger(headDim) || headDim % 2)
    wrong.push(`hidden_size ${c.hidden_size} over num_attention_heads ${c.num_attention_heads} gives no even head size`);
  if (c.num_attention_heads % kvHeads)
    wrong.push(`num_attention_heads ${c.num_attention_heads} is no multiple of num_key_value_heads ${kvHeads}`);
  if (!activations[c.hidden_act]) wrong.push(`hidden_act "${c.hidden_act}" is not one of ${Object.keys(activations).join(', ')}`);
  if (c.layer_types && c.layer_types.length !== c.num_hidden_layers)
    wrong.push(`layer_types has ${c.layer_types.length} entries for num_hidden_layers ${c.num_hidden_layers}`);
  if (wrong.length > 0) throw new ModelConfigError(`config.json contradicts itself: ${wrong.join('; ')}`);
  return {
    family,
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    blocks: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    maxPositions: c.max_position_embeddings,
    epsilon: c.rms_norm_eps,
    activation: c.hidden_act,
    ropeTheta: c.rope_parameters?.rope_theta ?? c.rope_theta ?? 10000,
    ropeScaling: ropeScaling(c.rope_parameters ?? c.rope_scaling ?? undefined, c.max_position_embeddings),
    tied: c.tie_word_embeddings,
    qkvBias: family === 'qwen2' || c.attention_bias,
    outputBias: family === 'llama' && c.attention_bias,
    mlpBias: family === 'llama' && c.mlp_bias,
    slidingWindow: slidingWindow(family, c),
  };
}

/** Mistral windows every block; Qwen2 those from `max_window_layers` on, and only where `use_sliding_window` says so. */
function slidingWindow(family: LlamaConfig['family'], c: z.infer<typeof configSchema>): LlamaConfig['slidingWindow'] {
  if (!c.sliding_window || family === 'llama' || (family === 'qwen2' && c.use_sliding_window !== true)) return undefined;
  const first = family === 'qwen2' ? (c.max_window_layers ?? QWEN2_MAX_WINDOW_LAYERS) : 0;
  const listed = c.layer_types?.map(type => type === 'sliding_attention');
  return { size: c.sliding_window, blocks: listed ?? Array.from({ length: c.num_hidden_layers }, (_, layer) => layer >= first) };
}

function ropeScaling(rope: z.infer<typeof ropeSchema> | undefined, maxPositions: number): RopeScaling {
  const type = rope?.rope_type ?? rope?.type ?? 'default';
  switch (type) {
    case 'default':
    // Dynamic scaling changes nothing up to the model's own length, and longer inputs are refused.
    case 'dynamic':
      return { type: 'default' };
    case 'linear':
      return { type: 'linear', factor: rope?.factor ?? 1 };
    case 'llama3':
      return {
        type: 'llama3',
        factor: rope?.factor ?? 8,
        lowFreqFactor: rope?.low_freq_factor ?? 1,
        highFreqFactor: rope?.high_freq_factor ?? 4,
        originalMaxPositions: rope?.original_max_position_embeddings ?? maxPositions,
      };
    default:
      throw new ModelConfigError(`rope scaling "${type}" is not supported; supported are default, linear, dynamic and llama3`);
  }
}
