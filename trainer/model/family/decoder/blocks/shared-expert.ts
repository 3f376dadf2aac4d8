/** The expert of a mixture that computes every token: an MLP whose output is multiplied by the sigmoid of a number of the token (Qwen1.5-MoE). */

import type { Node } from '../../../../graph/graph.ts';
import { linearSpec, type ModuleSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { type Mlp, mlpModules, mlpOf, traceMlp } from './mlp.ts';

export interface SharedExpertConfig {
  readonly intermediateSize: number;
  readonly activation: string;
}

export interface SharedExpert {
  readonly mlp: Mlp;
  /** One row: how much of the output counts. */
  readonly gate: ModuleSpec;
}

/** @param at the name of the block */
export function sharedExpert({ intermediateSize }: SharedExpertConfig, hiddenSize: number, layer: number, at: string): SharedExpert {
  const path = `${at}.mlp.shared_expert`;
  const names = { gate: `${path}.gate_proj`, up: `${path}.up_proj`, down: `${path}.down_proj` };
  return {
    mlp: mlpOf(names, { hiddenSize, inner: intermediateSize, biased: false }, layer),
    gate: linearSpec(`${path}_gate`, { part: 'router', layer }, 1, hiddenSize, false),
  };
}

export const sharedExpertModules = ({ mlp, gate }: SharedExpert): ModuleSpec[] => [...mlpModules(mlp), gate];

/** x [tokens, hidden] → the same shape. */
export function traceSharedExpert(tracer: Tracer, { activation }: SharedExpertConfig, { mlp, gate }: SharedExpert, x: Node): Node {
  const share = tracer.graph.sigmoid(tracer.linear(gate, x));
  return tracer.graph.mul(traceMlp(tracer, mlp, activation, x), share);
}
