/** The MLP of a block that is a mixture of experts: a router, and for each projection the matrices of all experts. */

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
  /** The key of config.json that says how many there are. */
  readonly key: string;
  readonly intermediateSize: number;
  /** The router and the experts have biases. */
  readonly biased: boolean;
  /** The router computes in float32, in whatever type other products are. */
  readonly routesInFloat32?: true;
  /** The blocks that have experts. */
  readonly layers: readonly boolean[];
  /** They compute in addition to the MLP of their block, not in place of it: see `added-experts.ts`. */
  readonly isAdded?: true;
  /** The key of config.json that says how many compute a token; `num_experts_per_tok` if left out. */
  readonly chosenKey?: string;
  /** The name in a block of a bias of each expert that counts only where experts are chosen. It is a buffer, which nothing trains. */
  readonly choiceBias?: string;
  /** One that computes every token in addition to those chosen. */
  readonly shared?: SharedExpertConfig;
  readonly names: ExpertNames;
  /** The computation between the products; gate and up are one product where it takes one. */
  readonly gated: Gated;
}

export type Gated =
  | { readonly kind: 'apart'; readonly of: (graph: Graph, gate: Node, up: Node) => Node }
  | {
      readonly kind: 'together';
      /** The numbers of the computation. */
      readonly limits: { readonly alpha: number; readonly limit: number };
      readonly of: (graph: Graph, gateUp: Node) => Node;
    };

/** Names in a block. */
export interface ExpertNames {
  readonly router: string;
  /** The name of the router in the memory of Transformers 5, if files have another. */
  readonly routerInMemory?: string;
  /** Gate and up, or both in one, in the order in which they are read. */
  readonly inner: readonly ExpertName[];
  readonly down: ExpertName;
}

export interface ExpertName {
  readonly name: string;
  /** @param rows of one expert */
  readonly fused: (at: string, rows: number) => FusedRows;
  /** How files hold its weight, and its bias where there is one. @param rows of one expert */
  readonly forms: (at: string, sizes: { readonly experts: number; readonly rows: number }) => readonly StoredForm[];
  readonly biasForms?: (at: string, sizes: { readonly rows: number }) => readonly StoredForm[];
}

export interface ExpertBlock {
  readonly router: ModuleSpec;
  readonly inner: readonly ExpertsSpec[];
  readonly down: ExpertsSpec;
  /** [experts]. */
  readonly choiceBias: ParameterSpec | undefined;
  readonly shared: SharedExpert | undefined;
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
  const inner = names.inner.length === 1 ? 2 * intermediateSize : intermediateSize;
  const plain = linearSpec(`${at}.${names.router}`, { part: 'router', layer }, experts, hiddenSize, biased);
  const router: ModuleSpec = config.routesInFloat32 ? { ...plain, weight: { ...plain.weight, float32: true } } : plain;
  return {
    router: names.routerInMemory ? { ...router, inMemory: `${at}.${names.routerInMemory}` } : router,
    inner: names.inner.map(name => stack(name, inner, hiddenSize)),
    down: stack(names.down, hiddenSize, intermediateSize),
    choiceBias: choiceBias === undefined ? undefined : { name: `${at}.${choiceBias}`, shape: [experts], buffer: true, float32: true },
    shared: config.shared && sharedExpert(config.shared, hiddenSize, layer, at),
  };
}

export const expertModules = ({ router, inner, down, shared }: ExpertBlock): ModuleSpec[] => [
  ...[router, ...inner, down],
  ...(shared ? sharedExpertModules(shared) : []),
];

/**
 * x [tokens, hidden] → the same shape: each token by the experts that the router chooses, none of them left out.
 * @param routing where the router reads something else than x
 */
export function traceExperts(
  tracer: Tracer,
  config: DecoderExperts,
  { router, inner, down, choiceBias, shared }: ExpertBlock,
  x: Node,
  routing?: Routing,
): Node {
  const { graph } = tracer;
  const { ids, weights } = routing ?? route(graph, tracer.linear(router, x), config, choiceBias && tracer.parameter(choiceBias));
  const products = inner.map(module => tracer.experts(module, x, ids));
  const { gated } = config;
  const first = elementAt(products, 0);
  const between = gated.kind === 'together' ? gated.of(graph, first) : gated.of(graph, first, elementAt(products, 1));
  const routed = combine(graph, tracer.experts(down, between, ids), weights);
  return shared && config.shared ? graph.add(routed, traceSharedExpert(tracer, config.shared, shared, x)) : routed;
}
