/** The head of BERT and its descendants: the first token's state through a layer and an activation, then the classifier; or each token's own state. */

import type { Node } from '../../../graph/graph.ts';
import { activationOf } from '../../layer/activation.ts';
import { type Initial, linearSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { firstToken } from './text-encoder.ts';

export interface FirstTokenHeadConfig {
  /** The weight file's names for both layers. */
  readonly names: { readonly dense: string; readonly classifier: string };
  readonly activation: string;
  /** How the first layer starts, where the weight file lacks it. */
  readonly freshDense: Initial | undefined;
  /** The dropout of the inputs of the first layer, of the classifier, and of the classifier of tokens. */
  readonly dropout: { readonly dense: number; readonly classifier: number; readonly tokens: number };
}

export interface FirstTokenHead {
  /** Left out where each token has a label: its state goes to the classifier as it is. */
  readonly dense?: ModuleSpec;
  readonly classifier: ModuleSpec;
}

/** The name that all families give the layer that labels tokens. */
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
 * @returns [batch, labels], or [batch · tokens, labels] where each token has a label
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
