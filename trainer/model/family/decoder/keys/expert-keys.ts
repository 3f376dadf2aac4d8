/** The keys of config.json shared by decoders with mixtures of experts, and their interpretation: see `config-keys.ts`. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { gatedActivation } from '../../../layer/activation.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import type { DecoderExperts, Gated } from '../blocks/experts.ts';
import { decoderKeys } from './decoder-keys.ts';

/** Bound of eight times the largest published number. */
export const MAX_EXPERTS = 4096;
export const count = size(MAX_EXPERTS);
/** Bound on experts per token, because the graph grows with each. Six times the largest published number. */
const MAX_CHOSEN = 64;
export const chosenCount = size(MAX_CHOSEN);

/** The keys of every decoder with experts. */
export const expertKeys = {
  ...decoderKeys,
  // If true, Transformers adds the loss that balances the experts.
  ...refusedUnless([false], 'output_router_logits'),
  ...withoutEffect('belongs to the load-balancing loss, which output_router_logits enables', 'router_aux_loss_coef'),
} as const;

/** For each block, whether it has experts: "sparse" if it does. */
export const mlpTypes = computed(
  z
    .array(z.enum(['dense', 'sparse']))
    .max(512)
    .nullish(),
);

/** Transformers 4 writes either key, Transformers 5 the second one. */
export const expertCounts = { num_experts: computed(count.nullish()), num_local_experts: computed(count.nullish()) } as const;
type Counts = ConfigValues<typeof expertCounts>;

/** The number of experts, and the key that states it. */
export const expertCount = ({ num_experts: one, num_local_experts: other }: Counts, usual: number) => ({
  count: one ?? other ?? usual,
  key: one ? 'num_experts' : 'num_local_experts',
});

const countProblems = ({ num_experts: one, num_local_experts: other }: Counts): ConfigProblem[] =>
  one && other && one !== other ? [contradiction('num_experts', `num_experts ${one} and num_local_experts ${other} differ`)] : [];

/** Returns a problem if two keys for the same value differ, or if there are more experts per token than experts. */
export const expertProblems = (
  { chosen, count: all, key, chosenKey = 'num_experts_per_tok' }: DecoderExperts,
  counts: Counts,
): ConfigProblem[] => [
  ...countProblems(counts),
  ...(chosen > all ? [contradiction(chosenKey, `${chosenKey} ${chosen} is above ${key} ${all}`)] : []),
];

/** Gate and up as two products: activation(gate) · up. */
export const gatedBy = (name: string): Gated => ({ kind: 'separate', of: gatedActivation(name) });
