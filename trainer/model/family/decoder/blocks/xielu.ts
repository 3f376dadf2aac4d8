/**
 * xIELU (Huang & Schlag 2024, arXiv:2411.13010), an activation with two trained numbers per MLP. With αp = softplus(alpha_p) and
 * αn = β + softplus(alpha_n): αp · x² + β · x above zero, and αn · (exp(min(x, ε)) − 1 − x) + β · x elsewhere.
 */

import type { Node } from '../../../../graph/graph.ts';
import { softplus } from '../../../layer/activation.ts';
import { type ModuleSpec, type ParameterSpec, parameterSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';

export interface Xielu {
  /** The numbers that bend the curve above zero and below, each [1]. */
  readonly above: ModuleSpec;
  readonly below: ModuleSpec;
  /** β and ε of the file, each [1], which are not trained. */
  readonly slope: ParameterSpec;
  readonly ceiling: ParameterSpec;
}

/** @param path of the activation */
export function xieluOf(path: string, layer: number): Xielu {
  const trained = (name: string): ModuleSpec => ({ ...parameterSpec(`${path}.${name}`, [1]), part: 'mlp', layer });
  const fixed = (name: string): ParameterSpec => ({ name: `${path}.${name}`, shape: [1], buffer: true });
  return { above: trained('alpha_p'), below: trained('alpha_n'), slope: fixed('beta'), ceiling: fixed('eps') };
}

/** x [rows, features] → the same shape. */
export function traceXielu(tracer: Tracer, { above, below, slope, ceiling }: Xielu, x: Node): Node {
  const { graph } = tracer;
  const beta = tracer.parameter(slope);
  const ofAbove = graph.mul(graph.square(x), softplus(graph, tracer.parameter(above.weight)));
  const curve = graph.sub(graph.sub(graph.exp(graph.minimum(x, tracer.parameter(ceiling))), 1), x);
  const ofBelow = graph.mul(curve, graph.add(beta, softplus(graph, tracer.parameter(below.weight))));
  return graph.add(graph.select(graph.less(graph.scalar(0), x), ofAbove, ofBelow), graph.mul(x, beta));
}
