/** Qwen 3.5 and Qwen3-Next with mixtures of experts: blocks of Qwen 3.5, with a shared expert in addition to the chosen ones. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { headCount, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';
import { mixtureLayerKeys, mixtureLayerProblems, mixtureLayers } from './qwen3-moe.ts';
import { QWEN35_GRID, QWEN35_PART, qwen35Blocks, qwen35Keys } from './qwen35.ts';

const width = computed(size(262144).default(512));

const sharedKeys = {
  ...expertKeys,
  ...qwen35Keys,
  num_key_value_heads: headCount(2),
  moe_intermediate_size: width,
  shared_expert_intermediate_size: width,
} as const;

const qwen35MoeKeys = {
  ...sharedKeys,
  num_experts: computed(count.default(256)),
  num_experts_per_tok: computed(chosenCount.default(8)),
  ...withoutEffect('is of MLPs, in place of which all blocks have experts', 'intermediate_size'),
  ...refusedUnless([[]], 'mlp_only_layers'),
  ...refusedUnless([1], 'decoder_sparse_step'),
  ...refusedUnless([true], 'norm_topk_prob'),
} as const satisfies KeyTable;

const qwen3NextKeys = {
  ...sharedKeys,
  ...sizeKeys({ intermediate_size: 5632 }),
  num_experts: computed(count.default(512)),
  num_experts_per_tok: computed(chosenCount.default(10)),
  norm_topk_prob: computed(z.boolean().default(true)),
  ...mixtureLayerKeys,
  ...refusedUnless([false], 'use_sliding_window'),
} as const satisfies KeyTable;

type Config = Omit<ConfigValues<typeof sharedKeys>, 'intermediate_size'> & {
  readonly num_experts: number;
  readonly num_experts_per_tok: number;
};

const mixtureOf = (c: Config): Omit<DecoderExperts, 'layers' | 'sumsToOne'> => ({
  count: c.num_experts,
  key: 'num_experts',
  chosen: c.num_experts_per_tok,
  intermediateSize: c.moe_intermediate_size,
  shared: { name: 'mlp.shared_expert', intermediateSize: c.shared_expert_intermediate_size, activation: c.hidden_act, gated: true },
  biased: false,
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

export const qwen35Moe = familyOf({
  family: 'qwen3_5_moe',
  keys: qwen35MoeKeys,
  rope: { isPartial: true, grid: QWEN35_GRID },
  defaults: () => QWEN35_PART,
  own: c => ({
    ...qwen35Blocks(c),
    intermediateSizes: everywhere(c, c.moe_intermediate_size),
    experts: { ...mixtureOf(c), sumsToOne: true, layers: everywhere(c, true) },
  }),
});

export const qwen3Next = familyOf({
  family: 'qwen3_next',
  keys: qwen3NextKeys,
  rope: { isPartial: true },
  defaults: () => QWEN35_PART,
  own: c => {
    const { delta, problems, ...blocks } = qwen35Blocks(c);
    return {
      ...blocks,
      delta: { ...delta, storage: 'by head' },
      experts: { ...mixtureOf(c), sumsToOne: c.norm_topk_prob, layers: mixtureLayers(c) },
      problems: [...problems, ...mixtureLayerProblems(c)],
    };
  },
});
