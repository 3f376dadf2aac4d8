/** Arcee: Llama, but MLPs have no gate and square a ReLU. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { activation, size } from '../../common-keys.ts';
import { arceeNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const arceeKeys = {
  ...decoderKeys,
  ...noWindows,
  vocab_size: computed(size(2 ** 20).default(32000)),
  hidden_size: computed(size(65536).default(2560)),
  intermediate_size: computed(size(262144).default(18432)),
  num_hidden_layers: computed(size(512).default(32)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(null),
  max_position_embeddings: computed(size(2 ** 24).default(4096)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  hidden_act: activation('relu2'),
  attention_bias: biased,
  mlp_bias: biased,
  ...refusedUnless([false], 'use_sliding_window'),
} as const satisfies KeyTable;

export const arcee = familyOf({
  family: 'arcee',
  names: arceeNames,
  keys: arceeKeys,
  own: c => ({ biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: everywhere(c, undefined) }),
});
