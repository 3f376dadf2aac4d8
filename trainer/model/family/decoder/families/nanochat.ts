/**
 * NanoChat (Karpathy 2025): norms without weights, also of the embeddings and of rotated queries and keys; positions rotate the other way,
 * and MLPs have no gate and square a ReLU.
 */

import { z } from 'zod';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { activation } from '../../common-keys.ts';
import { nanoChatNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const nanoChatKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 50304,
    hidden_size: 768,
    intermediate_size: 8192,
    num_hidden_layers: 12,
    num_attention_heads: 6,
    max_position_embeddings: 2048,
  }),
  num_key_value_heads: headCount(null),
  hidden_act: activation('relu2'),
  attention_bias: biased,
  pad_token_id: paddingId(1),
  final_logit_softcapping: computed(z.number().positive().nullable().default(15)),
  ...withoutEffect('is of the code before Transformers had the family', 'logits_soft_cap', 'qkv_bias'),
} as const satisfies KeyTable;

export const nanoChat = familyOf({
  family: 'nanochat',
  names: nanoChatNames,
  keys: nanoChatKeys,
  own: c => ({
    biases: alike(c.attention_bias),
    windows: everywhere(c, undefined),
    norms: { epsilon: c.rms_norm_eps, offset: 0, withoutWeights: true },
    innerNorms: 'rotated heads',
    rotatesBackwards: true,
    logitCap: c.final_logit_softcapping ?? undefined,
  }),
});
