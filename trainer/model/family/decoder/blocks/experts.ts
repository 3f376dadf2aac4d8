/** A mixture of experts as the MLP of a block: a router, and for each projection the matrices of all experts. */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { elementAt } from '../../../../narrow.ts';
import { combine, type Routing, type RoutingRule, route } from '../../../layer/experts.ts';
import {
  type ExpertsSpec,
  expertsSpec,
  type FusedRows,
  linearSpec,
  type ModuleSpec,
  type ParameterSpec,
  type StoredForm,
} from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { type SharedExpert, type SharedExpertConfig, sharedExpert, sharedExpertModules, traceSharedExpert } from './shared-expert.ts';

export interface DecoderExperts extends RoutingRule {
  readonly count: number;
  /** The key of config.json that gives the number of experts. */
  readonly key: string;
  readonly intermediateSize: number;
  /** True if the router and the experts have biases. */
  readonly biased: boolean;
  /** Set if the router computes in float32, whatever the type of other products. */
  readonly routesInFloat32?: true;
  /** For each block, whether it has experts. */
  readonly layers: readonly boolean[];
  /** Set if experts run in addition to the MLP of their block instead of replacing it: see `added-experts.ts`. */
  readonly isAdded?: true;
  /** The key of config.json that gives the number of experts per token; `num_experts_per_tok` by default. */
  readonly chosenKey?: string;
  /** The name within a block of a bias per expert that affects only the choice of experts. It is a buffer and is not trained. */
  readonly choiceBias?: string;
  /** The layers around the experts, by their names within a block, if these compute a shorter vector than the router reads. */
  readonly latent?: { readonly width: number; readonly down: string; readonly up: string };
  /** An expert that computes every token, in addition to the chosen ones. */
  readonly shared?: SharedExpertConfig;
  readonly names: ExpertNames;
  /** The computation between the products. */
  readonly gated: Gated;
}

export type Gated =
  | { readonly kind: 'none'; readonly of: (graph: Graph, up: Node) => Node }
  | { readonly kind: 'separate'; readonly of: (graph: Graph, gate: Node, up: Node) => Node }
  | {
      readonly kind: 'together';
      /** The constants of the computation. */
      readonly limits: { readonly alpha: number; readonly limit: number };
      readonly of: (graph: Graph, gateUp: Node) => Node;
    };

/** Names within a block. */
export interface ExpertNames {
  readonly router: string;
  /** The router's name in Transformers 5's memory, if files use another. */
  readonly routerInMemory?: string;
  /** Gate and up, or both in one, in the order in which they are read; up alone without gates. */
  readonly inner: readonly ExpertName[];
  readonly down: ExpertName;
}

export interface ExpertName {
  readonly name: string;
  /** @param rows per expert */
  readonly fused: (at: string, rows: number) => FusedRows;
  /** How files store its weight, and its bias if there is one. @param rows per expert */
  readonly forms: (at: string, sizes: { readonly experts: number; readonly rows: number }) => readonly StoredForm[];
  readonly biasForms?: (at: string, sizes: { readonly rows: number }) => readonly StoredForm[];
}

export interface ExpertBlock {
  readonly router: ModuleSpec;
  readonly inner: readonly ExpertsSpec[];
  readonly down: ExpertsSpec;
  /** The bias for the choice of experts, [experts]. */
  readonly choiceBias: ParameterSpec | undefined;
  /** The layers around the chosen experts, if these compute a shorter vector. */
  readonly latent: { readonly down: ModuleSpec; readonly up: ModuleSpec } | undefined;
  readonly shared: SharedExpert | undefined;
}

function latentOf({ latent }: DecoderExperts, hiddenSize: number, layer: number, at: string): ExpertBlock['latent'] {
  if (!latent) return undefined;
  const layerOf = (name: string, out: number, width: number) => linearSpec(`${at}.${name}`, { part: 'mlp', layer }, out, width, false);
  return { down: layerOf(latent.down, latent.width, hiddenSize), up: layerOf(latent.up, hiddenSize, latent.width) };
}

/** @param at the name of the block */
export function expertBlock(config: DecoderExperts, hiddenSize: number, layer: number, at: string): ExpertBlock {
  const { count: experts, key, intermediateSize, names, biased, choiceBias } = config;
  const stack = ({ name, fused, forms, biasForms }: ExpertName, out: number, width: number): ExpertsSpec =>
    expertsSpec(
      `${at}.${name}`,
      { part: 'mlp', layer },
      {
        ...{ experts, out, width, key, fused: fused(at, out) },
        forms: forms(at, { experts, rows: out }),
        ...(biased && { biasForms: biasForms?.(at, { rows: out }) ?? [] }),
      },
    );
  const read = config.latent?.width ?? hiddenSize;
  const inner = config.gated.kind === 'together' ? 2 * intermediateSize : intermediateSize;
  const plain = linearSpec(`${at}.${names.router}`, { part: 'router', layer }, experts, hiddenSize, biased);
  const router: ModuleSpec = config.routesInFloat32 ? { ...plain, weight: { ...plain.weight, float32: true } } : plain;
  return {
    router: names.routerInMemory ? { ...router, inMemory: `${at}.${names.routerInMemory}` } : router,
    inner: names.inner.map(name => stack(name, inner, read)),
    down: stack(names.down, read, intermediateSize),
    choiceBias: choiceBias === undefined ? undefined : { name: `${at}.${choiceBias}`, shape: [experts], buffer: true, float32: true },
    latent: latentOf(config, hiddenSize, layer, at),
    shared: config.shared && sharedExpert(config.shared, hiddenSize, layer, at),
  };
}

export const expertModules = ({ router, inner, down, latent, shared }: ExpertBlock): ModuleSpec[] => [
  ...[router, ...(latent ? [latent.down] : []), ...inner, down, ...(latent ? [latent.up] : [])],
  ...(shared ? sharedExpertModules(shared) : []),
];

/**
 * x [tokens, hidden] → the same shape: each token is computed by the experts that the router chooses; none is dropped.
 * @param routing if the router reads a different input from x
 */
export function traceExperts(
  tracer: Tracer,
  config: DecoderExperts,
  { router, inner, down, choiceBias, latent, shared }: ExpertBlock,
  x: Node,
  routing?: Routing,
): Node {
  const { graph } = tracer;
  const { ids, weights } = routing ?? route(graph, tracer.linear(router, x), config, choiceBias && tracer.parameter(choiceBias));
  const read = latent ? tracer.linear(latent.down, x) : x;
  const products = inner.map(module => tracer.experts(module, read, ids));
  const { gated } = config;
  const first = elementAt(products, 0);
  const between = gated.kind === 'separate' ? gated.of(graph, first, elementAt(products, 1)) : gated.of(graph, first);
  const combined = combine(graph, tracer.experts(down, between, ids), weights);
  const routed = latent ? tracer.linear(latent.up, combined) : combined;
  if (!shared || !config.shared) return routed;
  const sum = graph.add(routed, traceSharedExpert(tracer, config.shared, shared, x));
  return config.shared.isAveraged ? graph.mul(sum, 0.5) : sum;
}
