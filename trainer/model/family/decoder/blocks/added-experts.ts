/**
 * Gemma 4's mixtures of experts: they run in addition to the MLP of their block, and the router reads the states before any of the block's
 * norms.
 */

import type { Node } from '../../../../graph/graph.ts';
import { required } from '../../../../narrow.ts';
import { type Routing, route } from '../../../layer/experts.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { type ModuleSpec, normSpec, parameterSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { type ExpertBlock, expertBlock, expertModules, traceExperts } from './experts.ts';

export interface AddedExperts {
  readonly mixture: ExpertBlock;
  /** Scales the router's input, [hidden]. */
  readonly routerScale: ModuleSpec;
  /** Scales the weight of each expert, [experts]. */
  readonly expertScale: ModuleSpec;
  readonly afterMlp: ModuleSpec;
  readonly before: ModuleSpec;
  readonly after: ModuleSpec;
}

export function addedExperts({ experts, names, hiddenSize, norms }: DecoderConfig, layer: number): AddedExperts | undefined {
  if (!experts?.isAdded || !experts.layers[layer]) return undefined;
  const { at } = names.block(layer);
  const norm = (name: string): ModuleSpec => normSpec(`${at}.${name}`, layer, hiddenSize, norms.offset);
  const scale = (name: string, size: number): ModuleSpec => ({ ...parameterSpec(`${at}.router.${name}`, [size]), part: 'router', layer });
  return {
    mixture: expertBlock(experts, hiddenSize, layer, at),
    routerScale: scale('scale', hiddenSize),
    expertScale: scale('per_expert_scale', experts.count),
    afterMlp: norm('post_feedforward_layernorm_1'),
    before: norm('pre_feedforward_layernorm_2'),
    after: norm('post_feedforward_layernorm_2'),
  };
}

export const addedExpertModules = (own: AddedExperts): ModuleSpec[] => [
  ...[own.afterMlp, own.routerScale, own.expertScale, own.before],
  ...[...expertModules(own.mixture), own.after],
];

export interface AddedExpertParams {
  readonly config: DecoderConfig;
  /** The block's residual stream, [tokens, hidden]. */
  readonly states: Node;
  /** The output of the block's MLP, [tokens, hidden]. */
  readonly fed: Node;
}

/** The sum of the outputs of the MLP and the experts, each after its own norm, [tokens, hidden]. */
export function traceAddedExperts(tracer: Tracer, own: AddedExperts, { config, states, fed }: AddedExpertParams): Node {
  const { graph } = tracer;
  const { epsilon } = config.norms;
  const experts = required(config.experts, 'the description of the experts');
  const scale = graph.mul(tracer.parameter(own.routerScale.weight), config.hiddenSize ** -0.5);
  const read = graph.mul(rmsNorm(graph, { x: states, epsilon }), scale);
  const { ids, weights } = route(graph, tracer.linear(own.mixture.router, read), experts);
  const scales = graph.reshape(graph.gather(tracer.parameter(own.expertScale.weight), ids), weights.shape);
  const routing: Routing = { ids, weights: graph.mul(weights, scales) };
  const mixed = traceExperts(tracer, experts, own.mixture, tracer.rmsNorm(own.before, states, epsilon), routing);
  return graph.add(tracer.rmsNorm(own.afterMlp, fed, epsilon), tracer.rmsNorm(own.after, mixed, epsilon));
}
