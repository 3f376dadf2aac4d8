/** Mixtral: Mistral with a mixture of experts in place of each MLP. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { mixtralExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { headCount, sameTypes } from '../keys/decoder-keys.ts';
import { chosenCount, expertCount, expertCounts, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const mixtralKeys = {
  ...expertKeys,
  num_key_value_heads: headCount(8),
  rms_norm_eps: epsilon(1e-5),
  sliding_window: computed(z.number().int().positive().nullish()),
  ...refusedUnless([], 'attention_chunk_size'),
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(2)),
  // Every layer has the window, whatever the list says.
  layer_types: sameTypes,
  ...refusedUnless([0], 'router_jitter_noise'),
} as const satisfies KeyTable;

const mixtralMixture = (c: ConfigValues<typeof mixtralKeys>): DecoderExperts => ({
  ...expertCount(c, 8),
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: false,
  layers: Array.from({ length: c.num_hidden_layers }, () => true),
  names: mixtralExperts,
  gated: gatedBy(c.hidden_act),
});

export const mixtral = familyOf({
  family: 'mixtral',
  rope: { theta: 1e6 },
  keys: mixtralKeys,
  own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined), experts: mixtralMixture(c) }),
});
