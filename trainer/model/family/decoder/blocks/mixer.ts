/** The parameters and inputs shared by token mixers with a state. */

import type { Graph, Node } from '../../../../graph/graph.ts';
import type { TokenInputs } from '../../../model-spec.ts';
import { type ModuleSpec, parameterSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';

export interface MixerParams {
  readonly layer: number;
  readonly inputs: Pick<TokenInputs, 'positions' | 'seen' | 'states'>;
  readonly batch: number;
  readonly tokens: number;
}

/** A parameter that does not belong to a product. @param path the name of the mixer */
export const mixerParameter = (path: string, name: string, layer: number, shape: readonly number[]): ModuleSpec => ({
  ...parameterSpec(`${path}.${name}`, shape),
  part: 'attention',
  layer,
});

/** The kernel of a convolution over the last tokens, [channels, 1, width]. */
export const mixerKernel = (
  path: string,
  name: string,
  layer: number,
  sizes: { readonly channels: number; readonly width: number },
): ModuleSpec => ({
  ...mixerParameter(path, `${name}.weight`, layer, [sizes.channels, 1, sizes.width]),
  name: `${path}.${name}`,
});

/** x [batch · tokens, hidden] with zeros for padding, which therefore changes no state. */
export const presentOf = ({ graph }: Tracer, x: Node, { inputs: { seen }, batch, tokens }: MixerParams): Node =>
  seen ? graph.mul(x, graph.reshape(seen, [batch * tokens, 1])) : x;

/**
 * The positions that show a mixer where packed texts begin; undefined if a text continues, since its positions then state where it
 * continues.
 */
export const beginsOf = ({ positions, states }: MixerParams['inputs']): Node | undefined => (states ? undefined : positions);

/** 1 for the tokens of a stretch, 0 for padding, [batch, tokens]. @param counts int32 [batch] */
export const isReadOf = (graph: Graph, counts: Node, tokens: number): Node =>
  graph.cast(graph.less(graph.counting([1, tokens]), graph.reshape(counts, [counts.shape[0] as number, 1])), 'float32');
