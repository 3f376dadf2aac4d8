/** The shared part of the configs of encoders with BERT's blocks, rotary positions and gated MLPs: NomicBERT and GTE. */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { type ConfigReading, type ConfigValues, computed, contradiction, type KeyTable, refuse } from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { encoderKeys, encoderProblems, encoderSizes, paddingRow, rate, size } from '../common-keys.ts';
import { readRope, rotaryKeys, SAME_AT_ANY_LENGTH } from '../decoder/keys/rope-config.ts';
import { readLabels } from '../labels.ts';
import type { BertConfig } from './bert.ts';
import type { BlockNames } from './post-norm-block.ts';
import type { TextForm } from './text-classifier.ts';

export const rotaryBertKeys = {
  ...encoderKeys,
  ...rotaryKeys,
  hidden_size: computed(size(16384).default(768)),
  intermediate_size: computed(size(65536).default(3072)),
  num_hidden_layers: computed(size(256).default(12)),
  num_attention_heads: computed(size(256).default(12)),
  vocab_size: computed(size(2 ** 21)),
  type_vocab_size: computed(z.number().int().min(0).max(1024)),
  max_position_embeddings: computed(size(2 ** 20)),
  head_dim: computed(size(1024).nullish()),
  attention_probs_dropout_prob: computed(rate.default(0)),
  classifier_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().min(0).nullish()),
} as const satisfies KeyTable;

export interface RotaryBertForm extends TextForm {
  /** True if the file has the pooler. */
  readonly hasPooler: boolean;
}

export interface RotaryBertParams {
  readonly family: string;
  readonly architecture: string;
  readonly form: RotaryBertForm;
  /** The config with the keys of Transformers. */
  readonly json: ConfigJson;
  readonly options: ModelOptions;
  readonly reading: ConfigReading<typeof rotaryBertKeys>;
  /** The base of the positions, and the padding token, if the config names none. */
  readonly usual: { readonly theta: number; readonly pad: number };
  readonly blockNames: (prefix: string, block: number) => BlockNames;
  readonly own: Pick<BertConfig, 'biased' | 'innerDropout' | 'normInFiles'>;
}

/** @throws ModelConfigError with every value that is not supported */
export function rotaryBertConfig(params: RotaryBertParams): BertConfig {
  const { family, architecture, form, json, options, reading, usual, own } = params;
  const { values: c, problems } = reading;
  const { prefix, hasHead, hasTokenHead = false, hasPooler } = form;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const context = { architecture, maxPositions: c.max_position_embeddings, headDim, theta: usual.theta, types: SAME_AT_ANY_LENGTH };
  const { problems: ofPositions, ...positions } = readRope(json, context);
  refuse([...problems, ...headProblems(c, headDim), ...ofPositions], architecture);
  const dropout = c.hidden_dropout_prob;
  const headDropout = c.classifier_dropout ?? dropout;
  return {
    family,
    prefix,
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.initializer_range }),
    ...encoderSizes(c),
    ...own,
    headDim,
    blockNames: Array.from({ length: c.num_hidden_layers }, (_, block) => params.blockNames(prefix, block)),
    rotary: { positions, maxPositions: c.max_position_embeddings },
    positions: 0,
    firstPosition: 0,
    uncounted: undefined,
    paddingRow: paddingRow(c.pad_token_id === undefined ? usual.pad : c.pad_token_id, c.vocab_size),
    padId: c.pad_token_id ?? usual.pad,
    outputDropout: { attention: dropout, mlp: dropout },
    head: {
      names: { dense: `${prefix}pooler.dense`, classifier: 'classifier' },
      activation: 'tanh',
      freshDense: hasPooler ? undefined : { kind: 'normal', std: c.initializer_range, seed: options.headSeed ?? 0 },
      dropout: { dense: 0, classifier: headDropout, tokens: headDropout },
    },
  };
}

function headProblems(c: ConfigValues<typeof rotaryBertKeys>, headDim: number): ConfigProblem[] {
  const uneven = c.head_dim ? [] : encoderProblems(c);
  if (uneven.length > 0 || headDim % 2 === 0) return uneven;
  return [contradiction(c.head_dim ? 'head_dim' : 'hidden_size', `heads of ${headDim} features cannot be rotated in pairs`)];
}
