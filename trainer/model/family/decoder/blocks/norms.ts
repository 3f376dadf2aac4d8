/** The norms of a decoder's hidden states. */

import type { Node } from '../../../../graph/graph.ts';
import { layerNormSpec, type ModuleSpec, normSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** @param width number of normalized features; those of the hidden states by default */
export const normOf = (
  { norms, hiddenSize }: Pick<DecoderConfig, 'norms' | 'hiddenSize'>,
  name: string,
  layer: number,
  width = hiddenSize,
): ModuleSpec => (norms.shifted ? layerNormSpec(name, layer, width) : normSpec(name, layer, width, norms.offset));

/** x [rows, features] → the same shape; unchanged if there is no such norm. */
export function normed(tracer: Tracer, { norms: { centered, epsilon } }: DecoderConfig, module: ModuleSpec | undefined, x: Node): Node {
  if (!module) return x;
  return centered ? tracer.layerNorm(module, x, epsilon) : tracer.rmsNorm(module, x, epsilon);
}
