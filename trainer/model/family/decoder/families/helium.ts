/** Helium (Kyutai 2025): Llama, but neighboring features rotate in pairs. */

import { contradiction, type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

const heliumKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 48000,
    hidden_size: 2560,
    intermediate_size: 7040,
    num_hidden_layers: 24,
    num_attention_heads: 20,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(20),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-8),
  pad_token_id: paddingId(3),
  attention_bias: biased,
  mlp_bias: biased,
  ...refusedUnless([false], 'use_sliding_window'),
} as const satisfies KeyTable;

export const helium = familyOf({
  family: 'helium',
  keys: heliumKeys,
  rope: { theta: 100_000 },
  own: c => {
    const width = (c.head_dim ?? c.hidden_size / c.num_attention_heads) * c.num_attention_heads;
    return {
      biases: { qkv: c.attention_bias, output: false },
      mlpBias: c.mlp_bias,
      windows: everywhere(c, undefined),
      rotatesNeighbors: true,
      problems:
        width === c.hidden_size
          ? []
          : [
              contradiction(
                'head_dim',
                `head_dim ${c.head_dim} times num_attention_heads ${c.num_attention_heads} is not hidden_size ${c.hidden_size}`,
              ),
            ],
    };
  },
});
