/** Reads the config.json of ELECTRA (Clark et al. 2020): BERT whose embedding tables may be narrower than its blocks, with its own head. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, type KeyTable, readConfig, refuse, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { encoderKeys, encoderProblems, encoderSizes, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import { bertBlock } from './block-names.ts';
import type { TextForm } from './text-classifier.ts';

export const electraKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  embedding_size: computed(size(16384).default(128)),
  max_position_embeddings: computed(size(2 ** 16)),
  type_vocab_size: computed(z.number().int().min(1).max(1024).default(2)),
  classifier_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  ...refusedUnless(['absolute'], 'position_embedding_type'),
  ...withoutEffect(
    'is of a summary for multiple choice',
    ...(['summary_type', 'summary_use_proj', 'summary_activation', 'summary_last_dropout'] as const),
  ),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function electraConfig(architecture: string, form: TextForm, json: ConfigJson, options: ModelOptions): BertConfig {
  const { prefix, hasHead, hasTokenHead = false } = form;
  const { values: c, problems } = readConfig(electraKeys, architecture, json);
  refuse([...problems, ...encoderProblems(c)], architecture);
  const headDropout = c.classifier_dropout ?? c.hidden_dropout_prob;
  return {
    family: 'electra',
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes(c),
    narrow: c.embedding_size === c.hidden_size ? undefined : { size: c.embedding_size, projection: `${prefix}embeddings_project` },
    blockNames: Array.from({ length: c.num_hidden_layers }, (_, block) => bertBlock(prefix, block, ['query', 'key', 'value'])),
    positions: c.max_position_embeddings,
    firstPosition: 0,
    uncounted: undefined,
    paddingRow: paddingRow(c.pad_token_id === undefined ? 0 : c.pad_token_id, c.vocab_size),
    padId: c.pad_token_id ?? 0,
    outputDropout: { attention: c.hidden_dropout_prob, mlp: c.hidden_dropout_prob },
    head: {
      names: { dense: 'classifier.dense', classifier: 'classifier.out_proj' },
      activation: 'gelu',
      freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: headDropout, classifier: headDropout, tokens: headDropout },
    },
  };
}
