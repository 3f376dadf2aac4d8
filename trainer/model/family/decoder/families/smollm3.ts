/** SmolLM3: every fourth block does not apply RoPE to its queries and keys. */

import { z } from 'zod';
import { computed, type KeyTable } from '../../../config-keys.ts';
import { biased, decoderKeys, headCount, listedTypes, paddingId } from '../keys/decoder-keys.ts';
import { type LayerType, usesRope, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const smollm3Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(4),
  attention_bias: biased,
  mlp_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: paddingId(128004),
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: computed(z.number().int().positive().nullish()),
  no_rope_layers: computed(
    z
      .array(z.union([z.boolean(), z.literal(0), z.literal(1)]))
      .max(512)
      .nullish(),
  ),
  no_rope_layer_interval: computed(z.number().int().positive().max(512).nullish().default(4)),
  layer_types: listedTypes,
} as const satisfies KeyTable;

export const smollm3 = familyOf({
  family: 'smollm3',
  rope: { theta: 2e6 },
  keys: smollm3Keys,
  own: c => {
    const rotated = usesRope(c);
    const hasWindows = c.use_sliding_window && Boolean(c.sliding_window);
    const typeOf = (layer: number): LayerType => (hasWindows && !rotated[layer] ? 'sliding_attention' : 'full_attention');
    const types = rotated.map((_, layer) => c.layer_types?.[layer] ?? typeOf(layer));
    return { biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: windowsOf(c, types), usesRope: rotated };
  },
});
