/** Reads the config.json of DeBERTa-v2 and v3. */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../load-model.ts';
import type { DebertaConfig } from './deberta.ts';
import { readLabels } from './labels.ts';
import { activationProblems, encoderProblems, encoderSizes, rate, readConfig, refuse, size, unsupported } from './read-config.ts';

/** `["p2c", "c2p"]`, or in older files `"p2c|c2p"`. */
const attentionTypes = z.union([z.array(z.string()), z.string().transform(text => text.toLowerCase().split('|'))]);

const schema = z.looseObject({
  ...encoderSizes,
  vocab_size: size(2 ** 21),
  max_position_embeddings: size(2 ** 16),
  type_vocab_size: z.number().int().min(0).max(1024).default(0),
  layer_norm_eps: z.number().positive().max(1).default(1e-7),
  pad_token_id: z.number().int().min(0).nullish(),
  position_biased_input: z.boolean().default(true),
  relative_attention: z.boolean().default(false),
  position_buckets: z
    .number()
    .int()
    .max(2 ** 16)
    .default(-1),
  max_relative_positions: z
    .number()
    .int()
    .max(2 ** 16)
    .default(-1),
  norm_rel_ebd: z.string().default('none'),
  share_att_key: z.boolean().default(false),
  pos_att_type: attentionTypes.nullish(),
  pooler_hidden_act: z.string().default('gelu'),
  pooler_dropout: rate.default(0),
  cls_dropout: rate.nullish(),
  hidden_dropout_prob: rate.default(0.1),
  attention_probs_dropout_prob: rate.default(0.1),
});

export interface DebertaForm {
  /** Before the names of the encoder's tensors; the bare encoder is saved without. */
  readonly prefix: string;
  readonly hasHead: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value */
export function debertaConfig(
  architecture: string,
  { prefix, hasHead }: DebertaForm,
  json: ConfigJson,
  options: ModelOptions,
): DebertaConfig {
  const c = readConfig(schema, architecture, json);
  const types = (c.pos_att_type ?? []).map(type => type.trim());
  refuse([
    ...encoderProblems(c),
    ...activationProblems('pooler_hidden_act', c.pooler_hidden_act),
    ...relativeProblems(c, types),
    ...shapeProblems(c, json),
  ]);
  const maxDistance = c.max_relative_positions < 1 ? c.max_position_embeddings : c.max_relative_positions;
  const buckets = Math.max(0, c.position_buckets);
  return {
    prefix,
    ...readLabels({ architecture, json, options, hasHead, std: c.initializer_range }),
    freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    blocks: c.num_hidden_layers,
    heads: c.num_attention_heads,
    maxPositions: c.max_position_embeddings,
    positions: c.position_biased_input ? c.max_position_embeddings : 0,
    firstPosition: 0,
    tokenTypes: c.type_vocab_size,
    padId: c.pad_token_id ?? 0,
    epsilon: c.layer_norm_eps,
    activation: c.hidden_act,
    dropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
    headDropout: c.cls_dropout ?? c.hidden_dropout_prob,
    span: buckets > 0 ? buckets : maxDistance,
    buckets,
    maxDistance,
    c2p: types.includes('c2p'),
    p2c: types.includes('p2c'),
    sharedKeys: c.share_att_key,
    normalisesPositions: c.norm_rel_ebd
      .toLowerCase()
      .split('|')
      .map(word => word.trim())
      .includes('layer_norm'),
    poolerActivation: c.pooler_hidden_act,
    poolerDropout: c.pooler_dropout,
  };
}

function relativeProblems(c: z.infer<typeof schema>, types: readonly string[]): string[] {
  const other = types.filter(type => type !== 'c2p' && type !== 'p2c');
  return [
    ...(c.relative_attention ? [] : ['relative_attention false is not supported; supported is true']),
    ...(other.length > 0 ? [`pos_att_type ${JSON.stringify(other)} is not supported; supported are "c2p", "p2c"`] : []),
  ];
}

/** What larger models have beside: a convolution, smaller embeddings, heads of another size. */
const shapeProblems = (c: z.infer<typeof schema>, json: ConfigJson): string[] =>
  unsupported(json, {
    conv_kernel_size: [0],
    embedding_size: [c.hidden_size],
    attention_head_size: [c.hidden_size / c.num_attention_heads],
    pooler_hidden_size: [c.hidden_size],
  });
