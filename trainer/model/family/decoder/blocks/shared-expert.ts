/**
 * The shared expert of a mixture, which computes every token: an MLP whose output may be multiplied by a sigmoid gate per token
 * (Qwen1.5-MoE).
 */

import type { Node } from '../../../../graph/graph.ts';
import { linearSpec, type ModuleSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { type Mlp, mlpModules, mlpOf, traceMlp } from './mlp.ts';

export interface SharedExpertConfig {
  /** Its name within a block. */
  readonly name: string;
  /** Names of the layers, gate and up in one and down in another, in families whose names differ from Llama's. */
  readonly layers?: { readonly gateUp: string; readonly down: string };
  /** The activation is of the one product before it, which no other multiplies. */
  readonly isPlain?: true;
  readonly intermediateSize: number;
  readonly activation: string;
  /** Set if half of the sum with the chosen experts is the output. */
  readonly isAveraged?: boolean;
  /** True if its output is multiplied by a sigmoid. */
  readonly gated: boolean;
}

export interface SharedExpert {
  readonly mlp: Mlp;
  /** The layer of the sigmoid gate, with one row. */
  readonly gate: ModuleSpec | undefined;
}

/** @param at the name of the block */
export function sharedExpert(
  { name, layers, isPlain, intermediateSize, gated }: SharedExpertConfig,
  hiddenSize: number,
  layer: number,
  at: string,
): SharedExpert {
  const path = `${at}.${name}`;
  const usual = { ...(!isPlain && { gate: `${path}.gate_proj` }), up: `${path}.up_proj`, down: `${path}.down_proj` };
  const names = layers
    ? { ...usual, isApartInOthers: true as const, gateUp: `${path}.${layers.gateUp}`, down: `${path}.${layers.down}` }
    : usual;
  return {
    mlp: mlpOf(names, { hiddenSize, inner: intermediateSize, biased: false }, layer),
    gate: gated ? linearSpec(`${path}_gate`, { part: 'router', layer }, 1, hiddenSize, false) : undefined,
  };
}

export const sharedExpertModules = ({ mlp, gate }: SharedExpert): ModuleSpec[] => [...mlpModules(mlp), ...(gate ? [gate] : [])];

/** x [tokens, hidden] → the same shape. */
export function traceSharedExpert(tracer: Tracer, { activation }: SharedExpertConfig, { mlp, gate }: SharedExpert, x: Node): Node {
  const share = gate && tracer.graph.sigmoid(tracer.linear(gate, x));
  const y = traceMlp(tracer, mlp, { activation, dropout: 0 }, x);
  return share ? tracer.graph.mul(y, share) : y;
}
