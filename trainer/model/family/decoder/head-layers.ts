/** The layers between a decoder's last hidden states and its head, in families with some: a product, an activation and a norm. */

import type { Node } from '../../../graph/graph.ts';
import { activationOf } from '../../layer/activation.ts';
import { freshSpec, linearSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { DecoderConfig } from './blocks/decoder-config.ts';
import { type Norm, normed, normModules, normOf } from './blocks/norms.ts';
import type { ScoreLayers } from './score-head.ts';

/** The layers of one head. */
export interface HeadLayers {
  readonly dense: ModuleSpec;
  readonly norm: Norm;
  readonly activation: string;
}

/** @param at the path of the layers; undefined: the family has none */
export function headLayersOf(config: DecoderConfig, at: string): HeadLayers | undefined {
  const { headLayers, hiddenSize } = config;
  return (
    headLayers && {
      dense: linearSpec(`${at}.dense`, { part: 'head', layer: -1 }, hiddenSize, hiddenSize, headLayers.biased),
      norm: normOf(config, `${at}.norm`, -1),
      activation: headLayers.activation,
    }
  );
}

/**
 * The layers in a head for whole texts, which has its own.
 * @param isFresh whether the weight file lacks them
 * @param spread the deviation of new layers
 */
export function scoreLayersOf(
  config: DecoderConfig,
  { isFresh, spread, seed }: { readonly isFresh: boolean; readonly spread: number; readonly seed: number },
): ScoreLayers | undefined {
  const found = headLayersOf(config, 'head');
  if (!found || !config.headLayers) return undefined;
  const { biased, dropout } = config.headLayers;
  // As in Transformers: an output's deviation falls with the number of layers that are added to the stream.
  const std = spread / Math.sqrt(2 * config.blocks);
  const fresh = (module: ModuleSpec): ModuleSpec =>
    isFresh ? freshSpec(module, module.kind === 'norm' ? { kind: 'ones' } : { kind: 'normal', std, seed }) : module;
  const { dense, norm } = found;
  const layers = { ...found, dense: fresh(dense), norm: norm && norm !== 'without weight' ? fresh(norm) : norm };
  return {
    modules: headLayerModules(layers),
    trace: (tracer, x) => tracer.dropout(traceHeadLayers(tracer, config, layers, x), dropout),
    last: { name: 'classifier', biased, std: config.hiddenSize ** -0.5 },
  };
}

/** The modules in the order of the forward pass. */
export const headLayerModules = ({ dense, norm }: HeadLayers): ModuleSpec[] => [dense, ...normModules(norm)];

/** x [rows, hidden] → the same shape. */
export const traceHeadLayers = (tracer: Tracer, config: DecoderConfig, { dense, norm, activation }: HeadLayers, x: Node): Node =>
  normed(tracer, config, norm, activationOf(activation)(tracer.graph, tracer.linear(dense, x)));
