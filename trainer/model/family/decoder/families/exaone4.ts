/** EXAONE 4: norms of each head, and after attention and MLP; if some blocks have a window, the others apply no RoPE. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { epsilon } from '../../common-keys.ts';
import { olmoNames } from '../blocks/names.ts';
import { decoderKeys, headCount, listedTypes, sizeKeys, windowSize } from '../keys/decoder-keys.ts';
import { everywhere, type LayerType, layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const exaone4Keys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 102400,
    hidden_size: 4096,
    intermediate_size: 16384,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
  }),
  num_key_value_heads: headCount(32),
  rms_norm_eps: epsilon(1e-5),
  sliding_window: windowSize,
  // A string stands for a list, such as "LLLG".
  sliding_window_pattern: computed(
    z
      .union([z.number().int().nonnegative().max(512), z.string()])
      .nullish()
      .default(4),
  ),
  layer_types: listedTypes,
  ...withoutEffect('is not read: layer_types and sliding_window count', 'use_sliding_window'),
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof exaone4Keys>;

function typesOf(c: Config): LayerType[] {
  const { sliding_window_pattern: pattern } = c;
  if (!c.layer_types && (c.sliding_window === null || typeof pattern !== 'number' || pattern === 0)) return everywhere(c, 'full_attention');
  return layerTypes(c, typeof pattern === 'number' ? pattern : 4);
}

/** Returns a problem if there is no list and the pattern is not a number. */
function patternProblems({ layer_types: listed, sliding_window: window, sliding_window_pattern: pattern }: Config): ConfigProblem[] {
  if (listed || window === null || (typeof pattern === 'number' && pattern > 0)) return [];
  const message = `sliding_window_pattern ${JSON.stringify(pattern)} does not say which layers have a window: list them in layer_types`;
  return [contradiction('sliding_window_pattern', message)];
}

export const exaone4 = familyOf({
  family: 'exaone4',
  names: olmoNames,
  keys: exaone4Keys,
  own: c => {
    const types = typesOf(c);
    return {
      biases: alike(false),
      innerNorms: 'heads',
      windows: windowsOf(c, types),
      usesRope: types.map(type => c.sliding_window === null || type === 'sliding_attention'),
      problems: patternProblems(c),
    };
  },
});
