/**
 * EuroBERT (Boizard et al. 2025): Llama's blocks in which tokens attend both ways, and a head whose outputs are averaged over the tokens.
 */
import { z } from 'zod';
import type { Node } from '../../../graph/graph.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { type ConfigValues, computed, type KeyTable, readConfig, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activationOf } from '../../layer/activation.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import type { Tracer } from '../../tracer.ts';
import { encoderKeys, epsilon, labelKeys } from '../common-keys.ts';
import type { DecoderConfig } from '../decoder/blocks/decoder-config.ts';
import { llamaBareNames, llamaNames } from '../decoder/blocks/names.ts';
import { configOfFamily } from '../decoder/decoder-families.ts';
import { alike, familyOf } from '../decoder/families/family.ts';
import { biased, decoderKeys, headCount, noWindows } from '../decoder/keys/decoder-keys.ts';
import { everywhere } from '../decoder/keys/layers.ts';
import { SAME_AT_ANY_LENGTH } from '../decoder/keys/rope-config.ts';
import { type Labels, readLabels } from '../labels.ts';
import { type FirstTokenHead, firstTokenHead, headModules } from './first-token-head.ts';
import type { TextForm } from './text-classifier.ts';
import { firstToken, meanOfSeen, type TokenBatch } from './text-encoder.ts';
import { twoWayDecoder } from './two-way-decoder.ts';

const POOLINGS = ['late', 'mean', 'bos'] as const;

export const euroBertKeys = {
  ...decoderKeys,
  ...labelKeys,
  ...noWindows,
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  attention_bias: biased,
  mlp_bias: biased,
  pad_token_id: computed(z.number().int().nullish().default(128001)),
  initializer_range: encoderKeys.initializer_range,
  classifier_pooling: computed(z.enum(POOLINGS).default('late')),
  // The name of the key in the code that came with the first files; Transformers does not read it.
  clf_pooling: { class: 'refused', unless: c => [c.classifier_pooling ?? 'late'] },
  ...refusedUnless([false], 'is_causal'),
  ...refusedUnless([0], 'hidden_dropout'),
  ...withoutEffect('is for the head of the pretraining, which is not used', 'tie_word_embeddings'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
  ...withoutEffect('is a token that texts are prepared with', 'bos_token', 'eos_token', 'mask_token', 'pad_token', 'mask_token_id'),
} as const satisfies KeyTable;

const family = familyOf({
  family: 'eurobert',
  keys: euroBertKeys,
  rope: { types: SAME_AT_ANY_LENGTH },
  own: c => ({
    biases: alike(c.attention_bias),
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    isBidirectional: true,
    // The head of the pretraining is not a part of this model.
    tied: true,
  }),
});

export interface EuroBertConfig {
  readonly blocks: DecoderConfig;
  readonly labels: Labels;
  readonly pooling: ConfigValues<typeof euroBertKeys>['classifier_pooling'];
  readonly head: FirstTokenHead;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function euroBertConfig(
  architecture: string,
  { prefix, hasHead, hasTokenHead = false }: TextForm,
  json: ConfigJson,
  options: ModelOptions,
): EuroBertConfig {
  const { classifier_pooling: pooling, initializer_range: std } = readConfig(euroBertKeys, architecture, json).values;
  const blocks = configOfFamily(family, architecture, json, prefix === '' ? llamaBareNames : llamaNames);
  const labels = readLabels({ architecture, json, options, hasHead, hasTokenHead, std });
  const head = {
    names: { dense: 'dense', classifier: 'classifier' },
    activation: 'gelu',
    freshDense: hasHead ? undefined : ({ kind: 'normal', std, seed: options.headSeed ?? 0 } as const),
    dropout: { dense: 0, classifier: 0, tokens: 0 },
  };
  return { blocks, labels, pooling, head: firstTokenHead(head, blocks.hiddenSize, labels) };
}

export const euroBert = ({ blocks, labels, pooling, head }: EuroBertConfig): ClassifierModel =>
  twoWayDecoder({
    ...{ blocks, labels, head: headModules(head) },
    logits: (tracer, states, batch) => headLogits(tracer, head, states, batch, pooling),
  });

/** @param states the last hidden states, [batch · tokens, hiddenSize] */
function headLogits(
  tracer: Tracer,
  { dense, classifier }: FirstTokenHead,
  states: Node,
  { ids, seen }: TokenBatch,
  pooling: EuroBertConfig['pooling'],
): Node {
  const { graph } = tracer;
  if (!dense) return tracer.linear(classifier, states);
  const mean = (x: Node) => meanOfSeen(graph, x, seen);
  const pooled = { late: () => states, mean: () => mean(states), bos: () => firstToken(graph, states, ids.shape[0] as number) }[pooling]();
  const logits = tracer.linear(classifier, activationOf('gelu')(graph, tracer.linear(dense, pooled)));
  return pooling === 'late' ? mean(logits) : logits;
}
