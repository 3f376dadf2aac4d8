/**
 * Reads the config.json of MPNet (Song et al. 2020): RoBERTa without segments, with biases of the attention scores by the distance of tokens.
 */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse } from '../../config-keys.ts';
import { encoderKeys, encoderProblems, encoderSizes, paddingRow, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import { mpnetBlock } from './block-names.ts';
import type { TextForm } from './text-classifier.ts';

/** Transformers' constants: the buckets of distances, whatever the size of the table, and the token without a position or gradient. */
const BUCKETS = { buckets: 32, maxDistance: 128 } as const;
const UNCOUNTED = 1;

export const mpnetKeys = {
  ...encoderKeys,
  vocab_size: computed(size(2 ** 21)),
  max_position_embeddings: computed(size(2 ** 16).default(512)),
  relative_attention_num_buckets: computed(size(2 ** 16).default(BUCKETS.buckets)),
  pad_token_id: computed(z.number().int().min(0).nullish()),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function mpnetConfig(architecture: string, form: TextForm, json: ConfigJson, options: ModelOptions): BertConfig {
  const { values: c, problems } = readConfig(mpnetKeys, architecture, json);
  const { prefix, hasHead, hasTokenHead = false } = form;
  const { relative_attention_num_buckets: rows, max_position_embeddings: positions } = c;
  const firstPosition = UNCOUNTED + 1;
  const wrong = [...problems, ...encoderProblems(c)];
  if (rows < BUCKETS.buckets)
    wrong.push(
      contradiction(
        'relative_attention_num_buckets',
        `relative_attention_num_buckets ${rows} is less than ${BUCKETS.buckets}, which MPNet always uses`,
      ),
    );
  if (positions <= firstPosition)
    wrong.push(contradiction('max_position_embeddings', `max_position_embeddings ${positions} leaves no position behind row ${UNCOUNTED}`));
  refuse(wrong, architecture);
  const dropout = c.hidden_dropout_prob;
  return {
    family: 'mpnet',
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes({ ...c, type_vocab_size: 0 }),
    blockNames: Array.from({ length: c.num_hidden_layers }, (_, block) => mpnetBlock(prefix, block)),
    relative: { ...BUCKETS, name: `${prefix}encoder.relative_attention_bias`, rows },
    positions,
    firstPosition,
    uncounted: UNCOUNTED,
    paddingRow: paddingRow(UNCOUNTED, c.vocab_size),
    padId: c.pad_token_id ?? UNCOUNTED,
    outputDropout: { attention: dropout, mlp: dropout },
    head: {
      names: { dense: 'classifier.dense', classifier: 'classifier.out_proj' },
      activation: 'tanh',
      freshDense: hasHead ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: dropout, classifier: dropout, tokens: dropout },
    },
  };
}
