/** The head of BERT and its descendants: the first token's state through a layer and an activation, and then the classifier. */

import type { Node } from '../../graph/graph.ts';
import { activationOf } from '../layer/activation.ts';
import { type Initial, linearSpec, type ModuleSpec } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import { headSpec, type Labels } from './labels.ts';
import { firstToken } from './text-encoder.ts';

export interface FirstTokenHeadConfig {
  /** The weight file's names for both layers. */
  readonly names: { readonly dense: string; readonly classifier: string };
  readonly activation: string;
  /** How the first layer starts, where the weight file lacks it. */
  readonly freshDense: Initial | undefined;
  /** The dropout of the inputs of the first layer and of the classifier. */
  readonly dropout: { readonly dense: number; readonly classifier: number };
}

export interface FirstTokenHead {
  readonly dense: ModuleSpec;
  readonly classifier: ModuleSpec;
}

export function firstTokenHead({ names, freshDense }: FirstTokenHeadConfig, hiddenSize: number, { labels, fresh }: Labels): FirstTokenHead {
  const place = { part: 'head', layer: -1 } as const;
  return {
    dense: headSpec(linearSpec(names.dense, place, hiddenSize, hiddenSize), freshDense),
    classifier: headSpec(linearSpec(names.classifier, place, labels.length, hiddenSize), fresh),
  };
}

/**
 * @param states the last hidden states, [batch · tokens, hiddenSize]
 * @returns [batch, labels]
 */
export function headLogits(tracer: Tracer, config: FirstTokenHeadConfig, head: FirstTokenHead, states: Node, batch: number): Node {
  const { dropout } = config;
  const activation = activationOf(config.activation);
  const first = tracer.dropout(firstToken(tracer.graph, states, batch), dropout.dense);
  const pooled = activation(tracer.graph, tracer.linear(head.dense, first));
  return tracer.linear(head.classifier, tracer.dropout(pooled, dropout.classifier));
}
