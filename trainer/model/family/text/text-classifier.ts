/** A model of texts from its two parts: the encoder, which can be used without a head, and the head. */

import type { Node } from '../../../graph/graph.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { type ModuleSpec, type ParameterSpec, parametersOf } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { Labels } from '../labels.ts';
import { type TokenBatch, tokensOf } from './text-encoder.ts';

/** The contents of a weight file, by its architecture, and its tensor names. */
export interface TextForm {
  /** Prefix of the encoder's tensor names; empty for the bare encoder. */
  readonly prefix: string;
  readonly hasHead: boolean;
  readonly hasTokenHead?: boolean;
}

export interface TextClassifierParams {
  readonly family: string;
  readonly config: Pick<Labels, 'labels' | 'problem'> & Readonly<Record<'vocabularySize' | 'hiddenSize' | 'padId', number>>;
  /** The number of segment types; 0 or 1 if the model does not tell segments apart. */
  readonly tokenTypes: number;
  readonly maxPositions: number;
  /** How many blocks run. */
  readonly blocks: number;
  /** The modules of the encoder, in the order in which they run. */
  readonly body: readonly ModuleSpec[];
  /** Tensors of the encoder that are not trained; by default none. */
  readonly buffers?: readonly ParameterSpec[];
  /** See {@link ClassifierModel.carried}. */
  readonly carried?: readonly ParameterSpec[];
  /** Those of the head; the classifier is the last. */
  readonly head: readonly ModuleSpec[];
  /** The last hidden states, [batch · tokens, hiddenSize]. */
  readonly hidden: (tracer: Tracer, inputs: TokenBatch) => Node;
  /** Logits from the last hidden states: [batch, labels], or [batch · tokens, labels] where each token has a label. */
  readonly logits: (tracer: Tracer, states: Node, inputs: TokenBatch) => Node;
}

export function textClassifier(params: TextClassifierParams): ClassifierModel {
  const { family, config, tokenTypes, maxPositions, blocks, body, buffers = [], carried = [], head, hidden, logits } = params;
  const { hiddenSize, labels, problem, vocabularySize, padId } = config;
  const modules = [...body, ...head];
  return {
    kind: 'classifier',
    family,
    blocks,
    hiddenSize,
    parameters: [...parametersOf(modules), ...buffers],
    modules,
    carried,
    input: { kind: 'tokens', vocabularySize, maxPositions, padId, tokenTypes },
    labels,
    problem,
    heads: head.slice(-1),
    logits: (tracer, batch) => {
      const inputs = tokensOf(batch);
      return logits(tracer, hidden(tracer, inputs), inputs);
    },
    encoder: { of: 'encoder', modules: body, states: (tracer, batch) => hidden(tracer, tokensOf(batch)) },
  };
}
