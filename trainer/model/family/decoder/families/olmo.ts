/** OLMo 2 and 3: norms only after attention and MLP, and norms over all queries or keys of a token together. */

import type { KeyTable } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { olmoNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, listedTypes, noWindows, paddingId, windowSize } from '../keys/decoder-keys.ts';
import { everywhere, layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const olmoCommon = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(1),
} as const;

const olmo2Keys = { ...olmoCommon, ...noWindows } as const satisfies KeyTable;

export const olmo2 = familyOf({
  family: 'olmo2',
  names: olmoNames,
  keys: olmo2Keys,
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'whole', windows: everywhere(c, undefined) }),
});

const olmo3Keys = {
  ...olmoCommon,
  sliding_window: windowSize,
  layer_types: listedTypes,
} as const satisfies KeyTable;

export const olmo3 = familyOf({
  family: 'olmo3',
  names: olmoNames,
  keys: olmo3Keys,
  own: c => {
    const types = layerTypes(c, 4);
    const theta = c.rope_theta ?? 5e5;
    const ropesByType = { types, thetas: { full_attention: theta, sliding_attention: theta } };
    return { biases: alike(c.attention_bias), innerNorms: 'whole', windows: windowsOf(c, types), ropesByType };
  },
});
