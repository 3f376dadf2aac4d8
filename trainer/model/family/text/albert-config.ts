/**
 * Reads the config.json of ALBERT (Lan et al. 2020): BERT whose layers share their weights, with embedding tables narrower than its blocks.
 */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  refuse,
  refusedUnless,
  withoutEffect,
} from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { activation, encoderKeys, encoderProblems, encoderSizes, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import { albertBlock } from './block-names.ts';
import type { TextForm } from './text-classifier.ts';

export const albertKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  embedding_size: computed(size(16384).default(128)),
  max_position_embeddings: computed(size(2 ** 16)),
  type_vocab_size: computed(z.number().int().min(1).max(1024).default(2)),
  num_hidden_groups: computed(size(256).default(1)),
  inner_group_num: computed(size(256).default(1)),
  hidden_act: activation('gelu_new'),
  hidden_dropout_prob: computed(rate.default(0)),
  attention_probs_dropout_prob: computed(rate.default(0)),
  classifier_dropout_prob: computed(rate.default(0.1)),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  ...refusedUnless(['absolute'], 'position_embedding_type'),
  ...withoutEffect(
    "comes from TensorFlow's first ALBERT, and no code of Transformers reads it",
    ...(['down_scale_factor', 'gap_size', 'net_structure_type', 'num_memory_blocks', 'layers_to_keep'] as const),
  ),
} as const satisfies KeyTable;

export interface AlbertForm extends TextForm {
  readonly hasPooler: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function albertConfig(architecture: string, form: AlbertForm, json: ConfigJson, options: ModelOptions): BertConfig {
  const { values: c, problems } = readConfig(albertKeys, architecture, json);
  const { prefix, hasHead, hasTokenHead = false } = form;
  refuse([...problems, ...encoderProblems(c), ...groupProblems(c)], architecture);
  const { num_hidden_groups: groups, inner_group_num: inner } = c;
  return {
    family: 'albert',
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes(c),
    narrow: { size: c.embedding_size, projection: `${prefix}encoder.embedding_hidden_mapping_in` },
    blockNames: Array.from({ length: groups * inner }, (_, i) => albertBlock(prefix, Math.floor(i / inner), i % inner)),
    blockOrder: blockOrder(c),
    positions: c.max_position_embeddings,
    firstPosition: 0,
    uncounted: undefined,
    paddingRow: paddingRow(c.pad_token_id === undefined ? 0 : c.pad_token_id, c.vocab_size),
    padId: c.pad_token_id ?? 0,
    outputDropout: { attention: c.hidden_dropout_prob, mlp: 0 },
    head: {
      names: { dense: `${prefix}pooler`, classifier: 'classifier' },
      activation: 'tanh',
      freshDense: form.hasPooler ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: 0, classifier: c.classifier_dropout_prob, tokens: c.classifier_dropout_prob },
    },
  };
}

type Groups = Pick<ConfigValues<typeof albertKeys>, 'num_hidden_layers' | 'num_hidden_groups' | 'inner_group_num'>;

/** Returns a problem if there are more groups than layers: the weights of a group without a layer would be unused. */
const groupProblems = ({ num_hidden_layers: layers, num_hidden_groups: groups }: Groups): ConfigProblem[] =>
  groups > layers
    ? [
        contradiction(
          'num_hidden_groups',
          `num_hidden_groups ${groups} is more than num_hidden_layers ${layers}, so some groups would have no layer`,
        ),
      ]
    : [];

/** The order of the blocks: every layer runs all blocks of its group. The group is rounded as in Transformers. */
const blockOrder = ({ num_hidden_layers: layers, num_hidden_groups: groups, inner_group_num: inner }: Groups): number[] =>
  Array.from({ length: layers }, (_, layer) => {
    const group = Math.floor(layer / (layers / groups));
    return Array.from({ length: inner }, (_each, i) => group * inner + i);
  }).flat();
