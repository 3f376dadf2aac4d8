/** Reads the config.json of BERT and RoBERTa, and of models in the same form such as MiniLM, XLM-RoBERTa and CamemBERT. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, readConfig, refuse, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { encoderKeys, encoderProblems, encoderSizes, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import { bertBlock } from './block-names.ts';
import type { TextForm } from './text-classifier.ts';

/** The keys of BERT and RoBERTa. */
export const bertKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  max_position_embeddings: computed(size(2 ** 16)),
  type_vocab_size: computed(z.number().int().min(0).max(1024).default(2)),
  classifier_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  ...refusedUnless(['absolute'], 'position_embedding_type'),
  ...withoutEffect(
    "is of TensorFlow's first BERT, whose pooler is always the first token's",
    ...(['directionality', 'pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head'] as const),
    'pooler_type',
  ),
} as const;

export interface BertForm extends TextForm {
  readonly family: 'bert' | 'roberta';
  /** bert: whether the file has the pooler. */
  readonly hasPooler: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function bertConfig(architecture: string, form: BertForm, json: ConfigJson, options: ModelOptions): BertConfig {
  const { values: c, problems } = readConfig(bertKeys, architecture, json);
  const { family, prefix, hasHead, hasTokenHead = false } = form;
  const usualPad = family === 'roberta' ? 1 : 0;
  const padId = c.pad_token_id ?? usualPad;
  // RoBERTa counts positions starting after the pad token, which has its own position.
  const uncounted = family === 'roberta' ? padId : undefined;
  const firstPosition = uncounted === undefined ? 0 : uncounted + 1;
  const wrong = [...problems, ...encoderProblems(c)];
  if (c.max_position_embeddings <= firstPosition)
    wrong.push(
      contradiction(
        'max_position_embeddings',
        `max_position_embeddings ${c.max_position_embeddings} leaves no position behind pad_token_id ${padId}`,
      ),
    );
  refuse(wrong, architecture);
  const headDropout = c.classifier_dropout ?? c.hidden_dropout_prob;
  return {
    family,
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes(c),
    blockNames: Array.from({ length: c.num_hidden_layers }, (_, block) => bertBlock(prefix, block, ['query', 'key', 'value'])),
    positions: c.max_position_embeddings,
    firstPosition,
    uncounted,
    paddingRow: paddingRow(c.pad_token_id === undefined ? usualPad : c.pad_token_id, c.vocab_size),
    padId,
    outputDropout: { attention: c.hidden_dropout_prob, mlp: c.hidden_dropout_prob },
    head: {
      // BERT's pooler, or the first layer of RoBERTa's head.
      names:
        family === 'bert'
          ? { dense: `${prefix}pooler.dense`, classifier: 'classifier' }
          : { dense: 'classifier.dense', classifier: 'classifier.out_proj' },
      activation: 'tanh',
      freshDense: form.hasPooler ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: family === 'roberta' ? headDropout : 0, classifier: headDropout, tokens: headDropout },
    },
  };
}
