/** The keys of Mamba-2 that Granite 4 and Falcon-H1 share. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, multipleProblems } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import type { DecoderMamba } from '../blocks/mamba.ts';
import { biased, type Sizes } from './decoder-keys.ts';

/** Infinity, for which JSON has no number; Transformers 5 writes the object, and Transformers 4 the bare word. */
const ENDLESS = 'Infinity';
const endless = z.union([z.literal([ENDLESS, Number.POSITIVE_INFINITY]), z.strictObject({ __float__: z.literal(ENDLESS) })]);
const limit = z.union([z.number().nonnegative(), endless]);

/** Bounds are four times the largest published sizes. */
export const mambaKeys = {
  mamba_n_heads: computed(size(1024).default(128)),
  mamba_n_groups: computed(size(1024).default(1)),
  mamba_d_state: computed(size(1024).default(256)),
  mamba_d_head: computed(z.union([size(1024), z.literal('auto')]).default('auto')),
  mamba_d_conv: computed(z.number().int().min(2).max(64).default(4)),
  mamba_expand: computed(size(64).default(2)),
  mamba_chunk_size: computed(size(65536).default(256)),
  mamba_conv_bias: computed(z.boolean().default(true)),
  mamba_proj_bias: biased,
  time_step_limit: computed(z.tuple([limit, limit]).default([0, ENDLESS])),
} as const;

type Config = ConfigValues<typeof mambaKeys> & Pick<Sizes, 'hidden_act'>;

/** @param inner number of features of all heads */
export function mambaOf(c: Config, inner: number, layers: readonly boolean[]): DecoderMamba {
  const [least, most] = c.time_step_limit;
  const bound = (each: typeof least): number => (typeof each === 'number' ? each : Number.POSITIVE_INFINITY);
  const heads = c.mamba_n_heads;
  return {
    name: 'mamba',
    layers,
    heads,
    headDim: c.mamba_d_head === 'auto' ? Math.floor(inner / heads) : c.mamba_d_head,
    groups: c.mamba_n_groups,
    stateDim: c.mamba_d_state,
    width: c.mamba_d_conv,
    chunk: c.mamba_chunk_size,
    biases: { input: c.mamba_proj_bias, output: c.mamba_proj_bias, convolution: c.mamba_conv_bias },
    activation: c.hidden_act,
    norm: 'after gate',
    steps: { least: bound(least), most: bound(most) },
  };
}

/** @param inner number of features of all heads, and the keys that give it */
export function mambaProblems(
  { layers, heads, headDim, groups, steps }: DecoderMamba,
  inner: { readonly size: number; readonly from: string },
): ConfigProblem[] {
  if (!layers.includes(true)) return [];
  return [
    ...(heads * headDim === inner.size
      ? []
      : [contradiction('mamba_n_heads', `mamba_n_heads ${heads} of ${headDim} features are not ${inner.from}, ${inner.size}`)]),
    ...multipleProblems('mamba_n_groups', ['mamba_n_heads', heads], ['mamba_n_groups', groups]),
    ...(steps.least > steps.most
      ? [contradiction('time_step_limit', `time_step_limit begins at ${steps.least} and ends at ${steps.most}`)]
      : []),
  ];
}

/** The size that follows from the hidden size. */
export const expandedSize = (c: Pick<Config, 'mamba_expand'> & Pick<Sizes, 'hidden_size'>) => ({
  size: c.mamba_expand * c.hidden_size,
  from: 'mamba_expand · hidden_size',
});
