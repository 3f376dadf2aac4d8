/** GGUF metadata of decoders in which some blocks have a recurrent state or a short convolution in place of attention. */
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';

/** Keys with integer values. */
export const RECURRENT_INTEGERS = [
  'full_attention_interval',
  'ssm.conv_kernel',
  'ssm.state_size',
  'ssm.group_count',
  'ssm.time_step_rank',
  'ssm.inner_size',
  'shortconv.l_cache',
] as const;

/** The settings of such blocks. @returns an empty object for a decoder without them */
export function recurrentSettings({
  delta,
  convolution,
  mamba,
  blocks,
}: Pick<DecoderConfig, 'delta' | 'convolution' | 'mamba' | 'blocks'>): Readonly<Record<string, number>> {
  if (convolution) return { 'shortconv.l_cache': convolution.width };
  if (mamba)
    return {
      'ssm.conv_kernel': mamba.width,
      'ssm.state_size': mamba.stateDim,
      'ssm.group_count': mamba.groups,
      'ssm.time_step_rank': mamba.heads,
      'ssm.inner_size': mamba.heads * mamba.headDim,
    };
  if (delta === undefined) return {};
  const first = delta.layers.indexOf(false);
  return {
    full_attention_interval: first < 0 ? blocks + 1 : first + 1,
    'ssm.conv_kernel': delta.width,
    'ssm.state_size': delta.keyDim,
    'ssm.group_count': delta.keyHeads,
    'ssm.time_step_rank': delta.heads,
    'ssm.inner_size': delta.heads * delta.valueDim,
  };
}
