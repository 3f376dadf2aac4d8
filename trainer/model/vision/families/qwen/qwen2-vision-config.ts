/** Reads what describes the vision tower of Qwen2-VL: `vision_config`, whose width has another name than in later generations. */

import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, size } from '../../../family/common-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionFiles } from '../../vision-encoder.ts';
import { plainKeys, type QwenTower, qwenSizes } from './qwen-vision-config.ts';

const { intermediate_size: _, out_hidden_size: __, ...sharedKeys } = plainKeys;

export const qwen2TowerKeys = {
  ...sharedKeys,
  depth: computed(size(256).default(32)),
  embed_dim: computed(size(16384).default(1280)),
  mlp_ratio: computed(size(64).default(4)),
  // The width of a vector.
  hidden_size: computed(size(16384).default(3584)),
  hidden_act: activation('quick_gelu'),
  patch_size: computed(size(256).default(14)),
  head_dim: { class: 'refused', unless: c => [Number(c.embed_dim) / Number(c.num_heads)] },
  ...refusedUnless([3], 'in_chans'),
  ...withoutEffect('says what patch_size says', 'spatial_patch_size'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function qwen2Tower(architecture: string, files: VisionFiles): QwenTower {
  const { values: c, problems } = readTower(qwen2TowerKeys, architecture, files.config);
  const { embed_dim: width, hidden_size: outputSize } = c;
  const named = { ...c, hidden_size: width, intermediate_size: width * c.mlp_ratio, out_hidden_size: outputSize };
  return {
    ...qwenSizes(architecture, files, named, problems, { width: 'embed_dim', heads: 'num_heads' }),
    deepstack: [],
    table: undefined,
  };
}
