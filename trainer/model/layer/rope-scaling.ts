/** How fast each pair of features turns, and how that is stretched for texts longer than those of the pretraining: Transformers' `rope_type`s. */
import type { Graph, Node } from '../../graph/graph.ts';

/** `rope_type` and its numbers, as config.json has them. */
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
      /** Whether the border between kept and stretched features is a whole feature. */
      readonly truncate: boolean;
      readonly originalMaxPositions: number;
    }
  /** A factor for each pair of features: one list for texts up to the original length, one for longer texts. */
  | {
      readonly type: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalMaxPositions: number;
    }
  /** The first pairs turn as they do in a head that turns whole, and the others not at all. */
  | { readonly type: 'proportional'; readonly pairs: number; readonly factor: number }
  /** Changes nothing up to the original length; the base grows with longer texts. */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalMaxPositions: number };

/** How one block turns queries and keys. */
export interface Positions {
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** How many features of a head are turned, the first ones; an even number. */
  readonly features: number;
  /** Multiplies what was turned (`attention_factor`). */
  readonly factor: number;
  /** Queries grow with their position: by 1 + beta · ln(1 + ⌊position / span⌋). */
  readonly growth?: { readonly beta: number; readonly span: number };
}

/** The length up to which a text is turned one way, and beyond which another way; undefined where the length does not matter. */
export const turningLength = ({ scaling }: Positions): number | undefined =>
  scaling.type === 'longrope' || scaling.type === 'dynamic' ? scaling.originalMaxPositions : undefined;

/**
 * Angular frequency of each of the features / 2 pairs, in radians a position.
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

/** The base b becomes b · growth^(d / (d − 2)) for d features, so a frequency b^(−2i / d) is multiplied by growth to this power. */
const dynamicPower = (i: number, features: number): number => (i === 0 ? 0 : (-2 * i) / (features - 2));

/** Long wavelengths are stretched by `factor`, short ones are kept, those between are blended (Llama 3.1's rule, as in Transformers). */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * Features that turn more than `betaFast` times within the original length are kept, those that turn less than `betaSlow` times are
 * stretched by `factor`, and those between are blended along a ramp over the features (YaRN, Peng et al. 2023, as in Transformers).
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

/** How much YaRN's attention grows with the stretch. @param weight `mscale` */
export const yarnGrowth = (factor: number, weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);

/** The attention factor of YaRN where the config names none. */
export const yarnAttentionFactor = (factor: number, mscale: number | undefined, mscaleAllDim: number | undefined): number =>
  mscale && mscaleAllDim ? yarnGrowth(factor, mscale) / yarnGrowth(factor, mscaleAllDim) : yarnGrowth(factor, 1);

/** The attention factor of LongRoPE where the config names none (Ding et al. 2024). */
export const longropeAttentionFactor = (factor: number, originalMaxPositions: number): number =>
  factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));

/**
 * The frequencies for texts whose length is known only at run time, [texts, features / 2].
 * @param length float32 [texts, 1], tokens
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
