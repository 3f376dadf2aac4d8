/** Reads the config.json of BERT and RoBERTa (and of models in their form, as MiniLM and XLM-RoBERTa). */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../load-model.ts';
import type { BertConfig } from './bert.ts';
import { readLabels } from './labels.ts';
import { encoderProblems, encoderSizes, rate, readConfig, refuse, size, unsupported } from './read-config.ts';

const schema = z.looseObject({
  ...encoderSizes,
  vocab_size: size(2 ** 21),
  max_position_embeddings: size(2 ** 16),
  type_vocab_size: z.number().int().min(0).max(1024).default(2),
  hidden_dropout_prob: rate.default(0.1),
  attention_probs_dropout_prob: rate.default(0.1),
  classifier_dropout: rate.nullish(),
  pad_token_id: z.number().int().min(0).nullish(),
});

/** Where a family keeps its tensors, and what its file holds. */
export interface BertForm {
  readonly family: BertConfig['family'];
  /** Before the names of the encoder's tensors; the bare encoder is saved without. */
  readonly prefix: string;
  readonly hasHead: boolean;
  /** bert: does the file hold the pooler? */
  readonly hasPooler: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value */
export function bertConfig(architecture: string, form: BertForm, json: ConfigJson, options: ModelOptions): BertConfig {
  const c = readConfig(schema, architecture, json);
  const { family } = form;
  // RoBERTa counts positions from behind the pad token, which has a position of its own.
  const firstPosition = family === 'roberta' ? (c.pad_token_id ?? 1) + 1 : 0;
  const wrong = [
    ...encoderProblems(c),
    ...unsupported(json, { position_embedding_type: ['absolute'], is_decoder: [false], add_cross_attention: [false] }),
  ];
  if (c.max_position_embeddings <= firstPosition)
    wrong.push(`max_position_embeddings ${c.max_position_embeddings} leaves no position behind pad_token_id ${c.pad_token_id ?? 1}`);
  refuse(wrong);
  return {
    family,
    prefix: form.prefix,
    ...readLabels({ architecture, json, options, hasHead: form.hasHead, std: c.initializer_range }),
    freshDense: form.hasPooler ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    blocks: c.num_hidden_layers,
    heads: c.num_attention_heads,
    positions: c.max_position_embeddings,
    firstPosition,
    tokenTypes: c.type_vocab_size,
    padId: c.pad_token_id ?? (family === 'roberta' ? 1 : 0),
    epsilon: c.layer_norm_eps,
    activation: c.hidden_act,
    dropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
    headDropout: c.classifier_dropout ?? c.hidden_dropout_prob,
  };
}
