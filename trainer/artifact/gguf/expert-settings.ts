/** GGUF metadata of mixtures of experts. */
import { expertStep, SIGMOIDS, sigmoidKeys } from '../../format/gguf/families/gguf-experts.ts';
import { LATENT } from '../../format/gguf/families/gguf-nemotron.ts';
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';

type Keys = typeof sigmoidKeys;

/** Keys with integer values. */
export const EXPERT_INTEGERS: readonly string[] = [
  ...['expert_count', 'expert_used_count', 'expert_feed_forward_length', 'expert_shared_feed_forward_length', expertStep, LATENT],
  ...(['gating', 'plain', 'shared', 'groups', 'chosenGroups'] as const satisfies readonly (keyof Keys)[]).map(name => sigmoidKeys[name]),
];

/** The settings of experts. @returns an empty object for a decoder without experts */
export function expertSettings({ experts }: Pick<DecoderConfig, 'experts'>): Readonly<Record<string, number | boolean | undefined>> {
  if (!experts) return {};
  const { count, chosen, intermediateSize, latent, shared, scoring, layers, sumsToOne } = experts;
  const first = layers.indexOf(true);
  return {
    expert_count: count,
    expert_used_count: chosen,
    expert_feed_forward_length: intermediateSize,
    expert_shared_feed_forward_length: shared?.intermediateSize,
    [LATENT]: latent?.width,
    ...(scoring && {
      [sigmoidKeys.gating]: SIGMOIDS,
      [expertStep]: 1,
      [sigmoidKeys.plain]: first < 0 ? layers.length : first,
      [sigmoidKeys.factor]: scoring.factor,
      [sigmoidKeys.sumsToOne]: sumsToOne,
      [sigmoidKeys.shared]: shared && (shared.isPlain ? 1 : shared.intermediateSize / intermediateSize),
      [sigmoidKeys.groups]: scoring.groups?.count,
      [sigmoidKeys.chosenGroups]: scoring.groups?.chosen,
    }),
  };
}

/** The properties of a mixture that affect its function. */
export const expertsOf = ({ experts }: Pick<DecoderConfig, 'experts'>): unknown =>
  experts && {
    ...{ count: experts.count, chosen: experts.chosen, sumsToOne: experts.sumsToOne, size: experts.intermediateSize },
    ...{ scoring: experts.scoring, choiceBias: experts.choiceBias, latent: experts.latent, shared: experts.shared },
    ...{ biased: experts.biased, layers: experts.layers },
    limits: experts.gated.kind === 'together' ? experts.gated.limits : [],
  };
