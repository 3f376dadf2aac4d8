/** Keys of a config.json that all families, or all models of one kind, share: see `config-keys.ts`. */
import { z } from 'zod';
import { type ConfigValues, computed, multipleProblems, type RefusedKey, refused, refusedUnless, withoutEffect } from '../config-keys.ts';
import { activations, otherActivations } from '../layer/activation.ts';
import type { ConfigProblem } from '../model-spec.ts';

const newSize = (most: number) => z.number().int().positive().max(most);
/** The schemas of sizes by bound: families have hundreds of sizes with a few bounds, and every process builds their tables when it starts. */
const sizes = new Map<number, ReturnType<typeof newSize>>();

/** An integer up to a bound. A size beyond the bounds of its family means a broken file, not a model. */
export function size(most: number): ReturnType<typeof newSize> {
  const schema = sizes.get(most) ?? newSize(most);
  sizes.set(most, schema);
  return schema;
}

/** A dropout probability. */
export const rate = z.number().min(0).max(0.99);

/** The epsilon of a norm. */
export const epsilon = (usual: number) => computed(z.number().positive().max(1).default(usual));

/** The name of an activation function. */
export const activation = (usual: string) => computed(z.string().default(usual), Object.keys(activations), otherActivations);

const FLOATS = ['float32', 'float16', 'bfloat16', 'float64', 'float8_e4m3fn', 'float8_e5m2', 'auto'];

/**
 * Refuses unknown types. The weights have types of their own and the recipe chooses the type of products, so the value has no other effect.
 */
const floatType: RefusedKey = {
  class: 'refused',
  unless: () => FLOATS.flatMap(name => [name, `torch.${name}`]),
  supported: FLOATS.join(', '),
};

const sampling = withoutEffect(
  'belongs to generation_config.json, and says how text is sampled',
  ...(['do_sample', 'early_stopping', 'num_beams', 'num_beam_groups', 'num_return_sequences', 'max_length', 'min_length'] as const),
  ...(['temperature', 'top_k', 'top_p', 'typical_p', 'epsilon_cutoff', 'eta_cutoff', 'length_penalty', 'repetition_penalty'] as const),
  ...(['diversity_penalty', 'encoder_repetition_penalty', 'no_repeat_ngram_size', 'encoder_no_repeat_ngram_size'] as const),
  ...(['bad_words_ids', 'suppress_tokens', 'begin_suppress_tokens', 'forced_bos_token_id', 'forced_eos_token_id'] as const),
  ...(['exponential_decay_length_penalty', 'remove_invalid_values', 'output_scores', 'return_dict_in_generate'] as const),
  ...(['assistant_confidence_threshold', 'assistant_lookbehind', 'num_assistant_tokens', 'num_assistant_tokens_schedule'] as const),
  ...(['target_lookbehind', 'max_new_tokens', 'min_p'] as const),
);

/** Keys that all families share. */
export const commonKeys = {
  architectures: computed(z.unknown().optional()),
  model_type: computed(z.unknown().optional()),
  ...sampling,
  ...withoutEffect(
    'says where the file comes from',
    ...(['transformers_version', '_name_or_path', 'name_or_path', '_commit_hash', 'tokenizer_class', 'finetuning_task'] as const),
    ...(['task_specific_params', 'prefix', 'auto_map', 'custom_pipelines', 'unsloth_version', 'unsloth_fixed'] as const),
  ),
  ...withoutEffect(
    'says what else a model gives out',
    ...(['output_hidden_states', 'output_attentions', 'output_cross_attentions', 'output_past', 'return_dict', 'use_return_dict'] as const),
  ),
  ...withoutEffect(
    'says how the same numbers are computed',
    ...(['use_cache', 'torchscript', 'use_bfloat16', 'tf_legacy_loss', 'gradient_checkpointing', 'chunk_size_feed_forward'] as const),
    ...(['attn_implementation', '_attn_implementation', '_attn_implementation_autoset', 'use_mems_eval', 'use_mems_train'] as const),
    'experts_implementation',
  ),
  ...withoutEffect(
    'is a token that texts are prepared with',
    'bos_token_id',
    'eos_token_id',
    'sep_token_id',
    'cls_token_id',
    'mask_token_id',
  ),
  ...withoutEffect(
    'is for models with an encoder and a decoder',
    'decoder_start_token_id',
    'tie_encoder_decoder',
    'cross_attention_hidden_size',
  ),
  ...refusedUnless([false], 'is_encoder_decoder', 'is_decoder', 'add_cross_attention'),
  ...refusedUnless([{}], 'pruned_heads', 'per_layer_config'),
  ...refused('compression_config'),
  quantization_config: { class: 'refused', unless: () => [], supported: 'plain weights; take the model as it was before quantization' },
  // Read from any config by code for models with several parts.
  ...refused('text_config', 'text_encoder', 'decoder', 'generator', 'kv_sharing_modes', 'mtp_layer_types'),
  ...refused('vision_aspect_ratio', 'vision_feature_layer', 'vision_feature_select_strategy'),
  dtype: floatType,
  torch_dtype: floatType,
} as const;

/** Keys of decoders, which have no labels. */
export const causalKeys = {
  ...commonKeys,
  ...withoutEffect('is for classifiers', 'id2label', 'label2id', 'num_labels', 'problem_type', 'classifier_dropout', 'summary_type'),
  ...withoutEffect('is for new layers, and a decoder has none', 'initializer_range'),
} as const;

/** Upper bound of labels; ImageNet-21k has 21,843. */
const MAX_LABELS = 2 ** 20;

/** The keys that `labels.ts` reads. */
export const labelKeys = {
  id2label: computed(z.record(z.string().regex(/^\d+$/), z.string()).nullish()),
  num_labels: computed(z.number().int().positive().max(MAX_LABELS).nullish()),
  problem_type: computed(z.enum(['single_label_classification', 'regression', 'multi_label_classification']).nullish()),
  ...withoutEffect('says what id2label says', 'label2id'),
} as const;

/** Keys of classifiers. */
export const classifierKeys = {
  ...commonKeys,
  ...labelKeys,
  ...withoutEffect('is for the head of the pretraining, which is not used', 'tie_word_embeddings'),
  ...refused('layer_types', 'rope_parameters'),
} as const;

/** The sizes that text and image transformer encoders share; the bounds are four times the largest published ones. */
export const encoderKeys = {
  ...classifierKeys,
  hidden_size: computed(size(16384)),
  intermediate_size: computed(size(65536)),
  num_hidden_layers: computed(size(256)),
  num_attention_heads: computed(size(256)),
  hidden_act: activation('gelu'),
  layer_norm_eps: epsilon(1e-12),
  initializer_range: computed(z.number().min(0).max(10).default(0.02)),
  attention_probs_dropout_prob: computed(rate.default(0.1)),
  hidden_dropout_prob: computed(rate.default(0.1)),
  ...refusedUnless([false], 'is_causal'),
} as const;

/** Returns contradictions between the sizes of an encoder. */
export const encoderProblems = (c: Pick<ConfigValues<typeof encoderKeys>, 'hidden_size' | 'num_attention_heads'>): ConfigProblem[] =>
  multipleProblems('hidden_size', ['hidden_size', c.hidden_size], ['num_attention_heads', c.num_attention_heads]);

/** The sizes and rates of a text encoder, from the keys that these families share. */
export const encoderSizes = (c: ConfigValues<typeof encoderKeys> & { readonly vocab_size: number; readonly type_vocab_size: number }) => ({
  vocabularySize: c.vocab_size,
  hiddenSize: c.hidden_size,
  intermediateSize: c.intermediate_size,
  heads: c.num_attention_heads,
  tokenTypes: c.type_vocab_size,
  epsilon: c.layer_norm_eps,
  activation: c.hidden_act,
  dropout: c.hidden_dropout_prob,
  attentionDropout: c.attention_probs_dropout_prob,
});

/** The embedding row of padding; a negative id counts from the end, as in PyTorch. */
export const paddingRow = (id: number | null | undefined, rows: number): number | undefined => {
  const row = id === null || id === undefined ? -rows - 1 : id < 0 ? id + rows : id;
  return row >= 0 && row < rows ? row : undefined;
};

/** Height and width in pixels, given as one number or two. */
const sides = z.union([size(8192).transform((n): [number, number] => [n, n]), z.tuple([size(8192), size(8192)])]);

/** Keys of models that cut images into patches. @param patch the default side of a patch @param image the default side of an image */
export const imageKeys = (patch: number, image = 224) =>
  ({
    image_size: computed(sides.default([image, image])),
    patch_size: computed(sides.default([patch, patch])),
    num_channels: computed(size(64).default(3)),
    ...withoutEffect('is of no token of this model', 'pad_token_id'),
  }) as const;

/** Keys of image models that can be parts of others. */
export const backboneKeys = {
  ...withoutEffect('names outputs of a backbone, and a classifier reads the last', 'stage_names', 'out_features', 'out_indices'),
  ...withoutEffect('is for a backbone, and a classifier does without', 'apply_layernorm', 'reshape_hidden_states', 'return_class_token'),
} as const;
