/** How fast each pair of features rotates, and how the frequencies are stretched for texts longer than in pretraining (`rope_type`). */
import type { Graph, Node } from '../../../graph/graph.ts';
import { type RotaryTables, rotaryTables } from './rotary.ts';

/** `rope_type` and its parameters, as in config.json. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** True if the border between kept and stretched features is rounded to a whole feature. */
      readonly truncate: boolean;
      readonly originalMaxPositions: number;
    }
  /** One factor per pair of features: one list for texts up to the original length, one for longer texts. */
  | {
      readonly type: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalMaxPositions: number;
    }
  /** The first pairs rotate as in a head that rotates completely; the others do not rotate. */
  | { readonly type: 'proportional'; readonly pairs: number; readonly factor: number }
  /** Changes nothing up to the original length; for longer texts, the base grows. */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalMaxPositions: number };

/** How one block rotates queries and keys. */
export interface Positions {
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** Number of features of a head that rotate, from the first on; even. */
  readonly features: number;
  /** Multiplies the rotated features (`attention_factor`). */
  readonly factor: number;
  /** Queries are multiplied by 1 + beta · ln(1 + ⌊position / span⌋). */
  readonly growth?: { readonly beta: number; readonly span: number };
  /** For models with positions in two dimensions: by which row of `ImageInputs.grid` each pair of features rotates. */
  readonly axes?: readonly number[];
}

/** Tables for the positions 0 … tokens − 1 of a text. */
export const rotaryTablesOf = (graph: Graph, { features, theta, scaling, factor }: Positions, tokens: number): RotaryTables =>
  rotaryTables(graph, ropeFrequencies(features, theta, scaling, tokens), tokens, factor);

/** The length beyond which the frequencies of a text change; undefined if they do not depend on the length. */
export const rescaleLength = ({ scaling }: Positions): number | undefined =>
  scaling.type === 'longrope' || scaling.type === 'dynamic' ? scaling.originalMaxPositions : undefined;

/**
 * Angular frequency of each of the features / 2 pairs, in radians per position.
 * @param tokens the length of the text
 */
export function ropeFrequencies(features: number, theta: number, scaling: RopeScaling, tokens = 1): Float64Array {
  const plain = Float64Array.from({ length: features / 2 }, (_, i) => theta ** ((-2 * i) / features));
  switch (scaling.type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map(f => f / scaling.factor);
    case 'llama3':
      return plain.map(f => llama3Frequency(f, scaling));
    case 'yarn':
      return yarnFrequencies(plain, theta, scaling);
    case 'longrope': {
      const factors = tokens > scaling.originalMaxPositions ? scaling.longFactors : scaling.shortFactors;
      return plain.map((f, i) => f / (factors[i] as number));
    }
    case 'proportional':
      return plain.map((f, i) => (i < scaling.pairs ? f / scaling.factor : 0));
    case 'dynamic': {
      const growth = Math.max(1, (scaling.factor * tokens) / scaling.originalMaxPositions - (scaling.factor - 1));
      return plain.map((f, i) => f * growth ** dynamicPower(i, features));
    }
  }
}

/**
 * The exponent of growth in a frequency: the base b becomes b · growth^(d / (d − 2)) for d features, which multiplies b^(−2i / d) by
 * growth^(−2i / (d − 2)).
 */
const dynamicPower = (i: number, features: number): number => (i === 0 ? 0 : (-2 * i) / (features - 2));

/** Stretches long wavelengths by `factor`, keeps short ones and blends those between (Llama 3.1's rule, as in Transformers). */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * Keeps features that rotate more than `betaFast` times within the original length, stretches those that rotate less than `betaSlow` times
 * by `factor`, and blends those between along a ramp over the features (YaRN, Peng et al. 2023, as in Transformers).
 */
function yarnFrequencies(plain: Float64Array, theta: number, scaling: Extract<RopeScaling, { type: 'yarn' }>): Float64Array {
  const { factor, betaFast, betaSlow, truncate, originalMaxPositions } = scaling;
  const features = 2 * plain.length;
  const featureTurning = (times: number): number =>
    (features * Math.log(originalMaxPositions / (times * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [featureTurning(betaFast), featureTurning(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, features - 1);
  const width = high === low ? 0.001 : high - low;
  return plain.map((f, i) => {
    const stretched = Math.min(Math.max((i - low) / width, 0), 1);
    return (f / factor) * stretched + f * (1 - stretched);
  });
}

/** How much YaRN scales attention for a stretch factor. @param weight `mscale` */
export const yarnGrowth = (factor: number, weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);

/** The attention factor of YaRN if the config has none. */
export const yarnAttentionFactor = (factor: number, mscale: number | undefined, mscaleAllDim: number | undefined): number =>
  mscale && mscaleAllDim ? yarnGrowth(factor, mscale) / yarnGrowth(factor, mscaleAllDim) : yarnGrowth(factor, 1);

/** The attention factor of LongRoPE if the config has none (Ding et al. 2024). */
export const longropeAttentionFactor = (factor: number, originalMaxPositions: number): number =>
  factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));

/**
 * The frequencies of texts whose length is known only at run time, [texts, features / 2].
 * @param length float32 [texts, 1], in tokens
 */
export function ropeFrequenciesAt(graph: Graph, { features, theta, scaling }: Positions, length: () => Node): Node {
  const row = (values: Float64Array): Node => graph.constant(Float32Array.from(values), [1, values.length], 'float32');
  const short = row(ropeFrequencies(features, theta, scaling));
  if (scaling.type === 'longrope') {
    const long = row(ropeFrequencies(features, theta, scaling, scaling.originalMaxPositions + 1));
    return graph.select(graph.less(graph.scalar(scaling.originalMaxPositions), length()), long, short);
  }
  if (scaling.type === 'dynamic') {
    const stretched = graph.sub(graph.mul(length(), scaling.factor / scaling.originalMaxPositions), scaling.factor - 1);
    const powers = row(Float64Array.from({ length: features / 2 }, (_, i) => dynamicPower(i, features)));
    return graph.mul(short, graph.exp(graph.mul(graph.log(graph.maximum(stretched, 1)), powers)));
  }
  return short;
}
