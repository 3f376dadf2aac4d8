/** Reads the config.json of DeBERTa-v2 and v3. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, type KeyTable, notSupported, type RefusedKey, readConfig, refuse, withoutEffect } from '../../config-keys.ts';
import { activation, encoderKeys, encoderProblems, encoderSizes, epsilon, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import { bertBlock } from './block-names.ts';
import type { DebertaConfig } from './deberta.ts';
import type { TextForm } from './text-classifier.ts';

/** `["p2c", "c2p"]`, or in older files `"p2c|c2p"`. */
const attentionTypes = z.union([z.array(z.string()), z.string().transform(text => text.toLowerCase().split('|'))]);

/** A width that must equal the hidden size, or a head's share of it. */
const widthOf = (share: (config: ConfigJson) => number): RefusedKey => ({ class: 'refused', unless: config => [share(config)] });

/** The keys of DeBERTa-v2 and v3. */
export const debertaKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  max_position_embeddings: computed(size(2 ** 16)),
  type_vocab_size: computed(z.number().int().min(0).max(1024).default(0)),
  layer_norm_eps: epsilon(1e-7),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  position_biased_input: computed(z.boolean().default(true)),
  relative_attention: computed(z.boolean().default(false)),
  position_buckets: computed(
    z
      .number()
      .int()
      .max(2 ** 16)
      .default(-1),
  ),
  max_relative_positions: computed(
    z
      .number()
      .int()
      .max(2 ** 16)
      .default(-1),
  ),
  norm_rel_ebd: computed(z.string().default('none')),
  share_att_key: computed(z.boolean().default(false)),
  pos_att_type: computed(attentionTypes.nullish()),
  pooler_hidden_act: activation('gelu'),
  pooler_dropout: computed(rate.default(0)),
  cls_dropout: computed(rate.nullish()),
  // Options of larger models: a convolution, smaller embeddings, another head size.
  conv_kernel_size: { class: 'refused', unless: () => [0] },
  ...withoutEffect('belongs to the convolution, which conv_kernel_size enables', 'conv_act', 'conv_groups'),
  embedding_size: widthOf(c => Number(c.hidden_size)),
  attention_head_size: widthOf(c => Number(c.hidden_size) / Number(c.num_attention_heads)),
  pooler_hidden_size: widthOf(c => Number(c.hidden_size)),
  ...withoutEffect('is for the head of the pretraining, which is not used', 'legacy'),
  ...withoutEffect(
    'is of a summary that this model does not have',
    ...(['summary_activation', 'summary_first_dropout', 'summary_last_dropout', 'summary_type', 'summary_use_proj'] as const),
  ),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function debertaConfig(
  architecture: string,
  { prefix, hasHead, hasTokenHead = false }: TextForm,
  json: ConfigJson,
  options: ModelOptions,
): DebertaConfig {
  const { values: c, problems } = readConfig(debertaKeys, architecture, json);
  const types = (c.pos_att_type ?? []).map(type => type.trim());
  const others = types.filter(type => type !== 'c2p' && type !== 'p2c');
  refuse(
    [
      ...problems,
      ...encoderProblems(c),
      ...(c.relative_attention ? [] : [notSupported(['relative_attention'], false, [true])]),
      ...(others.length > 0 ? [notSupported(['pos_att_type'], others, ['c2p', 'p2c'])] : []),
    ],
    architecture,
  );
  const maxDistance = c.max_relative_positions < 1 ? c.max_position_embeddings : c.max_relative_positions;
  const buckets = Math.max(0, c.position_buckets);
  return {
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes(c),
    blockNames: Array.from({ length: c.num_hidden_layers }, (_, block) =>
      bertBlock(prefix, block, ['query_proj', 'key_proj', 'value_proj']),
    ),
    maxPositions: c.max_position_embeddings,
    positions: c.position_biased_input ? c.max_position_embeddings : 0,
    firstPosition: 0,
    uncounted: undefined,
    paddingRow: paddingRow(c.pad_token_id === undefined ? 0 : c.pad_token_id, c.vocab_size),
    padId: c.pad_token_id ?? 0,
    outputDropout: { attention: c.hidden_dropout_prob, mlp: c.hidden_dropout_prob },
    span: buckets > 0 ? buckets : maxDistance,
    buckets,
    maxDistance,
    c2p: types.includes('c2p'),
    p2c: types.includes('p2c'),
    sharedKeys: c.share_att_key,
    normalizesPositions: c.norm_rel_ebd
      .toLowerCase()
      .split('|')
      .map(word => word.trim())
      .includes('layer_norm'),
    head: {
      names: { dense: 'pooler.dense', classifier: 'classifier' },
      activation: c.pooler_hidden_act,
      freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: c.pooler_dropout, classifier: c.cls_dropout ?? c.hidden_dropout_prob, tokens: c.hidden_dropout_prob },
    },
  };
}
