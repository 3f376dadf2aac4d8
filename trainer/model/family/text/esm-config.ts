/** Reads the config.json of ESM, as Transformers 4 and 5 write it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  refuse,
  refused,
  refusedUnless,
  withoutEffect,
} from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { encoderKeys, encoderProblems, paddingRow, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { EsmConfig } from './esm.ts';
import type { TextForm } from './text-classifier.ts';

const isOn = computed(z.boolean().nullish().default(false));

export const esmKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  max_position_embeddings: computed(size(2 ** 16).default(1026)),
  position_embedding_type: computed(z.enum(['absolute', 'rotary']).default('absolute')),
  rope_theta: computed(z.number().positive().default(10_000)),
  // Transformers counts positions from after this token, and cannot do without it.
  pad_token_id: computed(z.number().int().min(0)),
  mask_token_id: computed(z.number().int().min(0).nullish()),
  token_dropout: isOn,
  emb_layer_norm_before: isOn,
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_attention_heads)] },
  ...refusedUnless([false], 'is_folding_model'),
  ...refused('rope_scaling'),
  ...withoutEffect('is for the model that folds proteins', 'esmfold_config', 'vocab_list'),
  ...withoutEffect('is not read: the MLPs always use GELU', 'hidden_act'),
  ...withoutEffect('is not read: the head has the dropout of the blocks', 'classifier_dropout'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function esmConfig(architecture: string, form: TextForm, json: ConfigJson, options: ModelOptions): EsmConfig {
  const { values: c, problems } = readConfig(esmKeys, architecture, json);
  const { prefix, hasHead, hasTokenHead = false } = form;
  refuse([...problems, ...sizeProblems(c)], architecture);
  const isRotary = c.position_embedding_type === 'rotary';
  const rows = c.max_position_embeddings;
  const dropout = c.hidden_dropout_prob;
  return {
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    heads: c.num_attention_heads,
    blocks: c.num_hidden_layers,
    padId: c.pad_token_id,
    paddingRow: paddingRow(c.pad_token_id, c.vocab_size),
    maxPositions: isRotary ? rows : rows - c.pad_token_id - 1,
    positions: isRotary ? { kind: 'rotary', theta: c.rope_theta } : { kind: 'table', rows },
    normsEmbeddings: c.emb_layer_norm_before ?? false,
    maskId: c.token_dropout ? (c.mask_token_id ?? undefined) : undefined,
    biased: { q: true, k: true, v: true, o: true, mlp: true },
    isScaled: false,
    epsilon: c.layer_norm_eps,
    activation: 'gelu',
    dropout,
    attentionDropout: c.attention_probs_dropout_prob,
    pathDropout: { attention: 0, mlp: 0 },
    head: {
      names: { dense: 'classifier.dense', classifier: 'classifier.out_proj' },
      activation: 'tanh',
      freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: dropout, classifier: dropout, tokens: dropout },
    },
  };
}

function sizeProblems(c: ConfigValues<typeof esmKeys>): ConfigProblem[] {
  const uneven = encoderProblems(c);
  const headDim = c.hidden_size / c.num_attention_heads;
  const isRotary = c.position_embedding_type === 'rotary';
  return [
    ...uneven,
    ...(isRotary && uneven.length === 0 && headDim % 2 === 1
      ? [contradiction('hidden_size', `heads of ${headDim} features cannot be rotated in pairs`)]
      : []),
    ...(!isRotary && c.max_position_embeddings <= c.pad_token_id + 1
      ? [
          contradiction(
            'max_position_embeddings',
            `max_position_embeddings ${c.max_position_embeddings} leaves no position behind pad_token_id ${c.pad_token_id}`,
          ),
        ]
      : []),
    ...(c.pad_token_id >= c.vocab_size
      ? [contradiction('pad_token_id', `pad_token_id ${c.pad_token_id} is not below vocab_size ${c.vocab_size}`)]
      : []),
    ...(c.token_dropout && typeof c.mask_token_id !== 'number'
      ? [contradiction('token_dropout', 'token_dropout is on, and mask_token_id names no token that it hides')]
      : []),
  ];
}
