/** A residual connection with trained factors of low rank, next to attention (LAuReL, Menghani et al. 2024, arXiv:2411.07501; Gemma 3n). */

import type { Node } from '../../../../graph/graph.ts';
import { linearSpec, type ModuleSpec, normSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';

export interface Laurel {
  readonly left: ModuleSpec;
  readonly right: ModuleSpec;
  readonly norm: ModuleSpec;
}

export function laurelOf({ laurelRank: rank, names, hiddenSize, norms }: DecoderConfig, layer: number): Laurel | undefined {
  if (rank === undefined) return undefined;
  const at = `${names.block(layer).at}.laurel`;
  const place = { part: 'attention', layer } as const;
  return {
    left: linearSpec(`${at}.linear_left`, place, rank, hiddenSize, false),
    right: linearSpec(`${at}.linear_right`, place, hiddenSize, rank, false),
    norm: normSpec(`${at}.post_laurel_norm`, layer, hiddenSize, norms.offset),
  };
}

export const laurelModules = ({ left, right, norm }: Laurel): ModuleSpec[] => [left, right, norm];

/** x [rows, hidden] → x + norm((x·Lᵀ)·Rᵀ). */
export function traceLaurel(tracer: Tracer, { left, right, norm }: Laurel, x: Node, { norms }: DecoderConfig): Node {
  return tracer.graph.add(x, tracer.rmsNorm(norm, tracer.linear(right, tracer.linear(left, x)), norms.epsilon));
}
