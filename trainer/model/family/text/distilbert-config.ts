/** Reads the config.json of DistilBERT (Sanh et al. 2019): BERT without segments and pooler, with its own key names. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import {
  computed,
  type KeyTable,
  multipleProblems,
  type RefusedKey,
  readConfig,
  refuse,
  refusedUnless,
  withoutEffect,
} from '../../config-keys.ts';
import { activation, classifierKeys, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import { distilBertBlock } from './block-names.ts';
import type { TextForm } from './text-classifier.ts';

/** An alias of a key, which Transformers reads too: both must have the same value. */
const alias = (key: string): RefusedKey => ({ class: 'refused', unless: config => [config[key]] });

export const distilBertKeys = {
  ...classifierKeys,
  vocab_size: computed(size(2 ** 21)),
  max_position_embeddings: computed(size(2 ** 16)),
  dim: computed(size(16384)),
  hidden_dim: computed(size(65536)),
  n_layers: computed(size(256)),
  n_heads: computed(size(256)),
  hidden_size: alias('dim'),
  num_hidden_layers: alias('n_layers'),
  num_attention_heads: alias('n_heads'),
  activation: activation('gelu'),
  dropout: computed(rate.default(0.1)),
  attention_dropout: computed(rate.default(0.1)),
  seq_classif_dropout: computed(rate.default(0.2)),
  initializer_range: computed(z.number().min(0).max(10).default(0.02)),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  ...withoutEffect('is how the position table started, which the weight file holds', 'sinusoidal_pos_embds'),
  ...refusedUnless([false], 'is_causal'),
  ...withoutEffect('is for answering questions', 'qa_dropout'),
  ...withoutEffect('is for the head of the pretraining, which is not used', 'tie_weights_'),
} as const satisfies KeyTable;

/** The epsilon of all norms, hard-coded in Transformers. */
const EPSILON = 1e-12;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function distilBertConfig(
  architecture: string,
  { prefix, hasHead, hasTokenHead = false }: TextForm,
  json: ConfigJson,
  options: ModelOptions,
): BertConfig {
  const { values: c, problems } = readConfig(distilBertKeys, architecture, json);
  const uneven = multipleProblems('dim', ['dim', c.dim], ['n_heads', c.n_heads]);
  refuse([...problems, ...uneven], architecture);
  return {
    family: 'distilbert',
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    vocabularySize: c.vocab_size,
    hiddenSize: c.dim,
    intermediateSize: c.hidden_dim,
    blockNames: Array.from({ length: c.n_layers }, (_, block) => distilBertBlock(prefix, block)),
    heads: c.n_heads,
    positions: c.max_position_embeddings,
    firstPosition: 0,
    uncounted: undefined,
    paddingRow: paddingRow(c.pad_token_id === undefined ? 0 : c.pad_token_id, c.vocab_size),
    tokenTypes: 0,
    padId: c.pad_token_id ?? 0,
    epsilon: EPSILON,
    activation: c.activation,
    dropout: c.dropout,
    outputDropout: { attention: 0, mlp: c.dropout },
    attentionDropout: c.attention_dropout,
    head: {
      names: { dense: 'pre_classifier', classifier: 'classifier' },
      activation: 'relu',
      freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: 0, classifier: c.seq_classif_dropout, tokens: c.dropout },
    },
  };
}
