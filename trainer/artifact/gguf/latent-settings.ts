/** GGUF metadata of multi-head latent attention. */
import { expertWidth, sigmoidKeys } from '../../format/gguf/families/gguf-experts.ts';
import { LATENT_KEYS } from '../../format/gguf/families/gguf-latent.ts';
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';
import { elementAt } from '../../narrow.ts';

/** Keys with integer values. */
export const LATENT_INTEGERS: readonly string[] = Object.values(LATENT_KEYS);

/**
 * The settings of such attention, which llama.cpp computes with one head of keys and values that all queries share. Without experts, it
 * still requires their keys.
 * @returns an empty object for a decoder with other attention
 */
export function latentSettings({ latent, experts, blocks, mlp }: DecoderConfig): Readonly<Record<string, number | undefined>> {
  if (!latent) return {};
  const { queryRank, rank, nopeDim, ropeDim, valueDim } = latent;
  return {
    'attention.head_count_kv': 1,
    'attention.key_length': rank + ropeDim,
    'attention.value_length': rank,
    [LATENT_KEYS.queryRank]: queryRank,
    [LATENT_KEYS.rank]: rank,
    [LATENT_KEYS.keys]: nopeDim + ropeDim,
    [LATENT_KEYS.values]: valueDim,
    ...(!experts && { [sigmoidKeys.plain]: blocks, [expertWidth]: elementAt(mlp.intermediateSizes, 0), [sigmoidKeys.shared]: 0 }),
  };
}
