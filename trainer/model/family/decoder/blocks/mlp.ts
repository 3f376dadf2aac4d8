/** A gated MLP: its modules, and their forward pass (Shazeer 2020). */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { atLeast, elementAt } from '../../../../narrow.ts';
import { activationOf, gatedActivation } from '../../../layer/activation.ts';
import { inParts, linearSpec, type ModuleSpec, type Place } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { BlockNames } from './names.ts';
import { products, withSections } from './products.ts';
import { traceXielu, type Xielu, xieluOf } from './xielu.ts';

export interface Mlp {
  /** Number of features between the two products. */
  readonly inner: number;
  /** Whether the activation is of a gate, which multiplies; otherwise it is of the one product. */
  readonly isGated: boolean;
  /** Gate and up: two layers, or one with the rows of both; up alone without a gate. */
  readonly gateUp: readonly ModuleSpec[];
  readonly down: ModuleSpec;
  readonly multipliers: MlpMultipliers;
  /** See `DecoderConfig.mlp.cutoffs`. */
  readonly cutoff: number | undefined;
  /** In families whose activation has numbers of its own. */
  readonly xielu: Xielu | undefined;
}

/** The parts of an MLP that all blocks share: see `DecoderConfig.mlp`. */
export interface MlpForm {
  readonly activation: string;
  readonly dropout: number;
}

/** Factors that are not trained: of the gate before its activation, and of the output. */
export interface MlpMultipliers {
  readonly gate: number;
  readonly down: number;
}

export interface MlpSizes {
  readonly hiddenSize: number;
  /** Number of features between the two products. */
  readonly inner: number;
  readonly biased: boolean;
  readonly multipliers?: MlpMultipliers | undefined;
  readonly cutoff?: number | undefined;
}

export function mlpOf(
  names: Pick<BlockNames, 'gate' | 'up' | 'gateUp' | 'isApartInOthers' | 'down' | 'xielu'>,
  { hiddenSize, inner, biased, multipliers = { gate: 1, down: 1 }, cutoff }: MlpSizes,
  layer: number,
): Mlp {
  const place: Place = { part: 'mlp', layer };
  const feeds = (name: string, rows: number): ModuleSpec => linearSpec(name, place, rows, hiddenSize, biased);
  const apart = [...(names.gate === undefined ? [] : [names.gate]), names.up];
  const both = (module: ModuleSpec): ModuleSpec =>
    names.isApartInOthers ? inParts(module, Object.fromEntries(apart.map(name => [name, inner]))) : module;
  return {
    inner,
    isGated: names.gateUp !== undefined || names.gate !== undefined,
    gateUp:
      names.gateUp === undefined
        ? apart.map(name => feeds(name, inner))
        : [both(withSections(feeds(names.gateUp, 2 * inner), { gate_proj: inner, up_proj: inner }))],
    down: linearSpec(names.down, place, hiddenSize, inner, biased),
    multipliers,
    cutoff,
    xielu: names.xielu === undefined ? undefined : xieluOf(names.xielu, layer),
  };
}

/** The modules in the order of the forward pass. */
export const mlpModules = ({ gateUp, xielu, down }: Mlp): ModuleSpec[] => [...gateUp, ...(xielu ? [xielu.above, xielu.below] : []), down];

/** x [tokens, hidden] → the same shape. */
export function traceMlp(tracer: Tracer, mlp: Mlp, { activation, dropout }: MlpForm, x: Node): Node {
  const between = mlp.isGated ? gated(tracer, mlp, activation, x) : ungated(tracer, mlp, activation, x);
  return tracer.graph.mul(tracer.linear(mlp.down, tracer.dropout(between, dropout)), mlp.multipliers.down);
}

function gated(tracer: Tracer, { gateUp, inner, multipliers, cutoff }: Mlp, name: string, x: Node): Node {
  const { graph } = tracer;
  const [makeGate, makeUp] = atLeast(products(tracer, gateUp, x, [inner, inner]), 2);
  const [gate, up] = [graph.mul(makeGate(), multipliers.gate), makeUp()];
  return gatedActivation(name)(graph, cutoff === undefined ? gate : aboveCutoff(graph, gate, cutoff), up);
}

/** x [tokens, features] less the mean of its token and `deviations` of its standard deviations, and 0 below that (Gemma 3n). */
function aboveCutoff(graph: Graph, x: Node, deviations: number): Node {
  const centered = graph.sub(x, graph.mean(x, [-1], true));
  const deviation = graph.sqrt(graph.mean(graph.square(centered), [-1], true));
  return graph.relu(graph.sub(centered, graph.mul(deviation, deviations)));
}

function ungated(tracer: Tracer, { gateUp, xielu }: Mlp, name: string, x: Node): Node {
  const up = tracer.linear(elementAt(gateUp, 0), x);
  return xielu ? traceXielu(tracer, xielu, up) : activationOf(name)(tracer.graph, up);
}
