/**
 * The head of BERT and its descendants: the first token's state through a dense layer, an activation and the classifier; or a classifier on
 * each token's state.
 */

import type { Node } from '../../../graph/graph.ts';
import { activationOf } from '../../layer/activation.ts';
import { type Initial, linearSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { firstToken } from './text-encoder.ts';

export interface FirstTokenHeadConfig {
  /** The names of both layers in the weight file. */
  readonly names: { readonly dense: string; readonly classifier: string };
  readonly activation: string;
  /** The initial values of the dense layer, if it is missing in the weight file. */
  readonly freshDense: Initial | undefined;
  /** Dropout before the dense layer, before the classifier, and before the token classifier. */
  readonly dropout: { readonly dense: number; readonly classifier: number; readonly tokens: number };
}

export interface FirstTokenHead {
  /** Undefined if each token has a label: then the classifier reads the token's state directly. */
  readonly dense?: ModuleSpec;
  readonly classifier: ModuleSpec;
}

/** The name of the layer that labels tokens, in all families. */
const TOKEN_CLASSIFIER = 'classifier';

export function firstTokenHead(config: FirstTokenHeadConfig, hiddenSize: number, { labels, problem, fresh }: Labels): FirstTokenHead {
  const { names, freshDense } = config;
  const place = { part: 'head', layer: -1 } as const;
  if (problem === 'token_label') return { classifier: headSpec(linearSpec(TOKEN_CLASSIFIER, place, labels.length, hiddenSize), fresh) };
  return {
    dense: headSpec(linearSpec(names.dense, place, hiddenSize, hiddenSize), freshDense),
    classifier: headSpec(linearSpec(names.classifier, place, labels.length, hiddenSize), fresh),
  };
}

/**
 * @param states the last hidden states, [batch · tokens, hiddenSize]
 * @returns [batch, labels], or [batch · tokens, labels] if each token has a label
 */
export function headLogits(tracer: Tracer, config: FirstTokenHeadConfig, head: FirstTokenHead, states: Node, batch: number): Node {
  const { dropout } = config;
  if (!head.dense) return tracer.linear(head.classifier, tracer.dropout(states, dropout.tokens));
  const activation = activationOf(config.activation);
  const first = tracer.dropout(firstToken(tracer.graph, states, batch), dropout.dense);
  const pooled = activation(tracer.graph, tracer.linear(head.dense, first));
  return tracer.linear(head.classifier, tracer.dropout(pooled, dropout.classifier));
}

/** The layers of a head, in the order in which they run. */
export const headModules = ({ dense, classifier }: FirstTokenHead): ModuleSpec[] => (dense ? [dense, classifier] : [classifier]);
