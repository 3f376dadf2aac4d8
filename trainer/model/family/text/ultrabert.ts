/** UltraBERT: Llama's blocks in which tokens attend both ways, two of three within a window, and a classifier without layers in front. */
import { z } from 'zod';
import type { Node } from '../../../graph/graph.ts';
import { isRecord } from '../../../narrow.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { type ConfigValues, computed, contradiction, type KeyTable, readConfig, refusedUnless, withoutEffect } from '../../config-keys.ts';
import type { ClassifierModel, ConfigProblem } from '../../model-spec.ts';
import { linearSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { encoderKeys, labelKeys, rate } from '../common-keys.ts';
import type { DecoderConfig } from '../decoder/blocks/decoder-config.ts';
import { llamaBareNames, ultraBertNames } from '../decoder/blocks/names.ts';
import { configOfFamily } from '../decoder/decoder-families.ts';
import { alike, familyOf } from '../decoder/families/family.ts';
import { biased, decoderKeys, headCount, listedTypes, paddingId, sizeKeys } from '../decoder/keys/decoder-keys.ts';
import { layerTypes } from '../decoder/keys/layers.ts';
import { SAME_AT_ANY_LENGTH } from '../decoder/keys/rope-config.ts';
import { headSpec, type Labels, readLabels } from '../labels.ts';
import type { TextForm } from './text-classifier.ts';
import { firstToken, meanOfSeen, type TokenBatch } from './text-encoder.ts';
import { twoWayDecoder } from './two-way-decoder.ts';

const POOLINGS = ['cls', 'mean'] as const;
const positive = z.number().positive();
const radius = z.number().int().positive();

export const ultraBertKeys = {
  ...decoderKeys,
  ...labelKeys,
  ...sizeKeys({
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 32768,
  }),
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
  pad_token_id: paddingId(0),
  initializer_range: encoderKeys.initializer_range,
  classifier_pooling: computed(z.enum(POOLINGS).default('cls')),
  classifier_dropout: computed(rate.default(0)),
  sliding_window: computed(radius.default(128)),
  layer_types: listedTypes,
  // Files from before Transformers had the family say both for each block; a window of null or 0 means none.
  attention_windows: computed(z.array(z.number().int().nonnegative().nullable()).max(512).nullish()),
  rope_theta: computed(z.array(positive).max(512).nullish()),
  ...refusedUnless([false], 'is_causal'),
  ...withoutEffect('is for the head of the pretraining, which is not used', 'prediction_head_size', 'tie_word_embeddings'),
} as const satisfies KeyTable;

/** Returns what older keys say, under the newer ones. */
function newerKeys({ attention_windows: windows, layer_types: listed, rope_theta: bases, rope_parameters: rope }: ConfigJson): ConfigJson {
  const types = listed ?? (Array.isArray(windows) ? windows.map(window => (window ? 'sliding_attention' : 'full_attention')) : undefined);
  const width = Array.isArray(windows) ? windows.find(window => window) : undefined;
  const ofType = (type: string): unknown => (Array.isArray(types) && Array.isArray(bases) ? bases[types.indexOf(type)] : undefined);
  const records = ['full_attention', 'sliding_attention'].flatMap(type => {
    const base = ofType(type);
    return base === undefined ? [] : [[type, { rope_type: 'default', rope_theta: base }] as const];
  });
  return {
    ...(types !== undefined && { layer_types: types }),
    ...(width !== undefined && { sliding_window: width }),
    ...(!isRecord(rope) && records.length > 0 && { rope_parameters: Object.fromEntries(records) }),
  };
}

type Values = ConfigValues<typeof ultraBertKeys>;

/** Returns a problem for each older key with more than one value for blocks of one type, or another than a newer key. */
function olderProblems({ attention_windows: windows, rope_theta: bases, sliding_window: width }: Values, types: readonly string[]) {
  const problems: ConfigProblem[] = [];
  const other = windows?.find(window => window && window !== width);
  if (other)
    problems.push(contradiction('attention_windows', `attention_windows has windows of ${width} and ${other}: give all blocks one`));
  if (windows && windows.length !== types.length)
    problems.push(contradiction('attention_windows', `attention_windows has ${windows.length} entries for ${types.length} blocks`));
  if (!bases) return problems;
  const differs = bases.findIndex((base, layer) => base !== bases[types.indexOf(types[layer] ?? '')]);
  if (differs >= 0 || bases.length !== types.length)
    problems.push(
      contradiction('rope_theta', `rope_theta needs a base for each of ${types.length} blocks, the same for blocks of one type`),
    );
  return problems;
}

const family = familyOf({
  family: 'ultrabert',
  keys: ultraBertKeys,
  rope: { types: SAME_AT_ANY_LENGTH },
  defaults: newerKeys,
  own: c => {
    const types = layerTypes(c, 3);
    return {
      biases: alike(c.attention_bias),
      mlpBias: c.mlp_bias,
      // The token itself counts.
      windows: types.map(type => (type === 'sliding_attention' ? c.sliding_window + 1 : undefined)),
      isBidirectional: true,
      ropesByType: { types, thetas: { full_attention: 2_560_000, sliding_attention: 10_000 } },
      // The head of the pretraining is not a part of this model.
      tied: true,
      problems: olderProblems(c, types),
    };
  },
});

export interface UltraBertConfig {
  readonly blocks: DecoderConfig;
  readonly labels: Labels;
  readonly pooling: Values['classifier_pooling'];
  readonly dropout: number;
  readonly classifier: ModuleSpec;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function ultraBertConfig(
  architecture: string,
  { prefix, hasHead, hasTokenHead = false }: TextForm,
  json: ConfigJson,
  options: ModelOptions,
): UltraBertConfig {
  const {
    classifier_pooling: pooling,
    classifier_dropout: dropout,
    initializer_range: std,
  } = readConfig(ultraBertKeys, architecture, json).values;
  const blocks = configOfFamily(family, architecture, json, prefix === '' ? llamaBareNames : ultraBertNames);
  const labels = readLabels({ architecture, json, options, hasHead, hasTokenHead, std });
  const layer = linearSpec('classifier', { part: 'head', layer: -1 }, labels.labels.length, blocks.hiddenSize);
  return { blocks, labels, pooling, dropout, classifier: headSpec(layer, labels.fresh) };
}

export const ultraBert = (config: UltraBertConfig): ClassifierModel =>
  twoWayDecoder({
    ...{ blocks: config.blocks, labels: config.labels, head: [config.classifier] },
    logits: (tracer, states, batch) =>
      tracer.linear(config.classifier, tracer.dropout(pooled(tracer, config, states, batch), config.dropout)),
  });

/** @param states the last hidden states, [batch · tokens, hiddenSize] @returns them, if each token has a label, or [batch, hiddenSize] */
function pooled({ graph }: Tracer, { labels, pooling }: UltraBertConfig, states: Node, { ids, seen }: TokenBatch): Node {
  if (labels.problem === 'token_label') return states;
  return pooling === 'mean' ? meanOfSeen(graph, states, seen) : firstToken(graph, states, ids.shape[0] as number);
}
