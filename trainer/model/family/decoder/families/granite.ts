/** Granite: a Llama with multipliers. */

import { z } from 'zod';
import { computed, type KeyTable } from '../../../config-keys.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const multiplier = computed(z.number().positive().default(1));

const graniteKeys = {
  ...decoderKeys,
  ...noWindows,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
} as const satisfies KeyTable;

export const granite = familyOf({
  family: 'granite',
  keys: graniteKeys,
  own: c => ({
    biases: alike(c.attention_bias),
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    scale: c.attention_multiplier,
    multipliers: {
      embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
      residualMultiplier: c.residual_multiplier,
      logitMultiplier: 1 / c.logits_scaling,
    },
  }),
});
