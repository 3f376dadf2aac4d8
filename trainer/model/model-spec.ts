/** What the rest of the trainer knows of a model: its parameters, its modules, and how to trace it into a graph. */
import type { Node } from '../graph/graph.ts';
import type { AttentionMask } from './layer/attention.ts';
import type { Tracer } from './tracer.ts';

/** One tensor of the model, by its name in the weight file. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The part of a model that `freeze` names. */
export type ModelPart = 'attention' | 'mlp' | 'norm' | 'embedding' | 'head';

/** A layer with neurons: row i of its weight, and entry i of its bias, are neuron i. */
export interface ModuleSpec {
  /** For example `model.layers.3.mlp.up_proj`. */
  readonly name: string;
  readonly kind: 'linear' | 'norm' | 'embedding' | 'conv';
  readonly part: ModelPart;
  /** Number of the block it stands in; −1 outside the blocks. */
  readonly layer: number;
  readonly weight: ParameterSpec;
  readonly bias?: ParameterSpec;
}

/** The tokens of one batch, and where to look. */
export interface TokenInputs {
  /** int32 [batch, tokens]. */
  readonly ids: Node;
  readonly mask: AttentionMask;
  /** int32 [batch, tokens]; left out, a sequence counts from 0. */
  readonly positions?: Node;
  /** Lets a decoder put keys and values [batch, kvHeads, tokens, headDim] into a cache and attend to all of it. */
  readonly cache?: (layer: number, k: Node, v: Node) => { readonly k: Node; readonly v: Node };
}

export interface CausalModel {
  readonly family: string;
  readonly blocks: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly maxPositions: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Every tensor that the weight file must hold (a tied head is not listed twice). */
  readonly parameters: readonly ParameterSpec[];
  readonly modules: readonly ModuleSpec[];
  /** The module that gives logits: the output head, or the embedding it is tied to. */
  readonly head: ModuleSpec;
  /** Final hidden states, [batch · tokens, hiddenSize]. */
  readonly hidden: (tracer: Tracer, inputs: TokenInputs) => Node;
}

/** A config.json that cannot be used: which key, what was found, what is possible. */
export class ModelConfigError extends Error {
  override name = 'ModelConfigError';
}
