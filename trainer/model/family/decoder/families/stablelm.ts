/** StableLM (Bellagente et al. 2024): Llama with layer norms, and a part of each head rotates; attention may run next to the MLP. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, rate } from '../../common-keys.ts';
import { cohereNames, llamaNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, impliedHeadDim, noWindows, same, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

const stableLmKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 50304,
    hidden_size: 2560,
    intermediate_size: 6912,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(32),
  head_dim: impliedHeadDim,
  layer_norm_eps: epsilon(1e-5),
  partial_rotary_factor: computed(z.number().positive().max(1).optional()),
  use_qkv_bias: biased,
  use_parallel_residual: computed(z.boolean().default(false)),
  hidden_dropout: computed(rate.default(0)),
  // Each head would have a norm of its own.
  ...refusedUnless([false], 'qk_layernorm'),
  // The code of the first files reads these; Transformers computes one value of each.
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refusedUnless([1], 'rotary_scaling_factor'),
  rope_pct: same(({ partial_rotary_factor: share }) => share),
  norm_eps: same(({ layer_norm_eps: own = 1e-5 }) => own),
  ...withoutEffect('is not read: layer_norm_eps counts', 'rms_norm_eps'),
} as const satisfies KeyTable;

export const stableLm = familyOf({
  family: 'stablelm',
  keys: stableLmKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.25 }),
  own: c => ({
    names: c.use_parallel_residual ? cohereNames : llamaNames,
    biases: { qkv: c.use_qkv_bias, output: false },
    windows: everywhere(c, undefined),
    norms: { epsilon: c.layer_norm_eps, offset: 0, centered: true, shifted: true },
    sideBySide: c.use_parallel_residual,
    mlpDropout: c.hidden_dropout,
  }),
});
