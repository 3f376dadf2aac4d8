/** HyperCLOVA X: Granite with norms after attention and MLP; its factor of the logits multiplies where Granite's divides. */

import { z } from 'zod';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { hyperClovaNames, llamaNames } from '../blocks/names.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { graniteKeys } from './granite.ts';

const hyperClovaKeys = {
  ...graniteKeys,
  attention_multiplier: computed(z.number().positive().nullish()),
  use_post_norm: computed(z.boolean().default(true)),
  ...withoutEffect('is not read', 'attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'summary_first_dropout', 'end_token_id'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const hyperClova = familyOf({
  family: 'hyperclovax',
  keys: hyperClovaKeys,
  own: c => ({
    names: c.use_post_norm ? hyperClovaNames : llamaNames,
    biases: alike(c.attention_bias),
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    ...(c.attention_multiplier != null && { scale: c.attention_multiplier }),
    multipliers: {
      embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
      residualMultiplier: c.residual_multiplier,
      logitMultiplier: c.logits_scaling,
    },
  }),
});
