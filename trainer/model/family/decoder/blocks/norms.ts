/** The norms of a decoder's hidden states. */

import type { Node } from '../../../../graph/graph.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { layerNormSpec, type ModuleSpec, normSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** A norm, which has no module if it has no weight; undefined: no norm. */
export type Norm = ModuleSpec | 'without weight' | undefined;

/** @param width number of normalized features; those of the hidden states by default */
export const normOf = (
  { norms, hiddenSize }: Pick<DecoderConfig, 'norms' | 'hiddenSize'>,
  name: string,
  layer: number,
  width = hiddenSize,
): Exclude<Norm, undefined> => {
  if (norms.withoutWeights) return 'without weight';
  return (norms.shifted ? layerNormSpec : normSpec)(name, layer, width, norms.offset);
};

/** The module of a norm, as a list. */
export const normModules = (norm: Norm): ModuleSpec[] => (norm === undefined || norm === 'without weight' ? [] : [norm]);

/** x [rows, features] → the same shape; unchanged if there is no such norm. */
export function normed(tracer: Tracer, { norms: { centered, epsilon } }: DecoderConfig, norm: Norm, x: Node): Node {
  if (!norm) return x;
  if (norm === 'without weight') return rmsNorm(tracer.graph, { x, epsilon });
  return centered ? tracer.layerNorm(norm, x, epsilon) : tracer.rmsNorm(norm, x, epsilon);
}
