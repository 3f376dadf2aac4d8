/**
 * Experts chosen by their scores, usually sigmoids with a bias, from the best groups, in addition to a shared expert (DeepSeek-V3): keys, and
 * their interpretation.
 */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, withoutEffect } from '../../../config-keys.ts';
import type { ScoringRule } from '../../../layer/experts.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import type { Sizes } from './decoder-keys.ts';
import { chosenCount, count, gatedBy } from './expert-keys.ts';

/** @param usual the default values */
export const groupedExpertKeys = (
  usual: Readonly<Record<'width' | 'experts' | 'perToken' | 'groups' | 'chosenGroups', number>> & { readonly factor: number },
) =>
  ({
    moe_intermediate_size: computed(size(262144).default(usual.width)),
    n_routed_experts: computed(count.default(usual.experts)),
    num_experts_per_tok: computed(chosenCount.default(usual.perToken)),
    n_shared_experts: computed(count.default(1)),
    n_group: computed(count.default(usual.groups)),
    topk_group: computed(chosenCount.default(usual.chosenGroups)),
    norm_topk_prob: computed(z.boolean().default(true)),
    routed_scaling_factor: computed(z.number().positive().default(usual.factor)),
    ...withoutEffect('says what else a model gives out', 'output_router_logits'),
    ...withoutEffect('is of the layers that guess further tokens, which are not loaded', 'num_nextn_predict_layers', 'num_mtp_layers'),
  }) as const;

/** Number of blocks at the start of the model with a plain MLP. */
export const plainBlocks = (usual: number) => computed(z.number().int().nonnegative().max(512).default(usual));

type Config = ConfigValues<ReturnType<typeof groupedExpertKeys>>;

/**
 * Experts whose scores alone decide the choice.
 * @param of the function that gives the scores
 * @param layers for each block, whether it has experts
 */
export const scoredExperts = (
  c: Config & Pick<Sizes, 'hidden_act'>,
  of: ScoringRule['of'],
  layers: readonly boolean[],
): DecoderExperts => ({
  count: c.n_routed_experts,
  key: 'n_routed_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: c.norm_topk_prob,
  scoring: { of, epsilon: 1e-20, factor: c.routed_scaling_factor, groups: { count: c.n_group, chosen: c.topk_group } },
  shared: {
    name: 'mlp.shared_experts',
    intermediateSize: c.n_shared_experts * c.moe_intermediate_size,
    activation: c.hidden_act,
    gated: false,
  },
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers,
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

/** Experts of which a bias affects the choice. @param layers for each block, whether it has experts */
export const groupedExperts = (c: Config & Pick<Sizes, 'hidden_act'>, layers: readonly boolean[]): DecoderExperts => ({
  ...scoredExperts(c, 'sigmoid', layers),
  choiceBias: 'mlp.gate.e_score_correction_bias',
  routesInFloat32: true,
});

/** For each block, whether it comes after the plain ones. */
export const afterPlain = (c: Pick<Sizes, 'num_hidden_layers'>, plain: number): boolean[] =>
  Array.from({ length: c.num_hidden_layers }, (_, layer) => layer >= plain);

/** Checks that each group has at least two experts, and that the chosen groups have enough experts for a token. */
export function groupProblems({
  n_routed_experts: all,
  n_group: groupCount,
  topk_group: chosen,
  num_experts_per_tok: perToken,
}: Config): ConfigProblem[] {
  const inGroup = all / groupCount;
  if (!Number.isInteger(inGroup) || inGroup < 2)
    return [contradiction('n_group', `n_group ${groupCount} does not divide n_routed_experts ${all} into groups of two experts or more`)];
  if (chosen > groupCount) return [contradiction('topk_group', `topk_group ${chosen} is above n_group ${groupCount}`)];
  if (perToken <= chosen * inGroup || perToken > all) return [];
  const message = `num_experts_per_tok ${perToken} is above the ${chosen * inGroup} experts of topk_group ${chosen} of n_group ${groupCount} groups`;
  return [contradiction('num_experts_per_tok', message)];
}
