/** A task's view of a model: the inputs of a batch, the loss with its initial gradients, and the outputs of an evaluation. */

import type { Graph, Node } from '../graph/graph.ts';
import type { Model } from '../model/model-spec.ts';
import type { ParameterSpec } from '../model/module-specs.ts';
import type { Tracer } from '../model/tracer.ts';

/** The static shape of one kind of batch. */
export interface BatchShape {
  readonly batch: number;
  /** Tokens per row; 1 if samples have no length. */
  readonly tokens: number;
  /** Maximum number of targets, which count in the loss. */
  readonly targets: number;
}

export const shapeName = ({ batch, tokens, targets }: BatchShape): string => `${batch}x${tokens}x${targets}`;

/** The requested part of a parameter's gradient. */
export type GradientRequest = 'none' | 'all' | { readonly rows: Node };

export interface LossWithSeeds {
  /** Σ weight · loss of a target, a scalar. */
  readonly loss: Node;
  /** The initial gradients of the backward pass. */
  readonly seeds: readonly { readonly node: Node; readonly gradient: Node }[];
  /** Further outputs of a training step. */
  readonly outputs?: Readonly<Record<string, Node>>;
}

/**
 * A loss that reads one output of each row and compares the rows of a batch. The gradient of the outputs is computed first and kept, so
 * that forward and backward passes can run on one mini-batch at a time (GradCache, Gao et al. 2021).
 */
export interface CachedLoss {
  /** Rows per mini-batch; the last one of a batch may have fewer. */
  readonly rows: number;
  /** Number of values in an output. */
  readonly width: number;
  /** Declares the feeds of rows and builds their forward pass. @returns float32 [rows, width] */
  readonly outputs: (tracer: Tracer, shape: BatchShape) => Node;
  /** Declares the other feeds and builds the loss of a batch, a scalar. @param outputs of all rows */
  readonly loss: (graph: Graph, outputs: Node) => Node;
  /** The feeds that `loss` declares. */
  readonly lossFeeds: readonly string[];
}

export interface Task {
  readonly model: Model;
  /** Number of neighboring rows of a batch that form one sample; 1 by default. */
  readonly rowsPerSample?: number;
  /**
   * Declares the feeds of a batch and builds the forward pass and loss.
   * @param requestFor returns the requested gradient of a parameter that the loss reads directly
   * @param labelSmoothing share of each target that is spread evenly over all classes, 0 by default
   */
  readonly loss: (
    tracer: Tracer,
    shape: BatchShape,
    requestFor: (parameter: ParameterSpec) => GradientRequest,
    labelSmoothing?: number,
  ) => LossWithSeeds;
  /** The same loss, present if training runs on one mini-batch at a time. */
  readonly cached?: CachedLoss;
  /** Builds the outputs of an evaluation, including `loss`. */
  readonly evaluation: (tracer: Tracer, shape: BatchShape) => Record<string, Node>;
}
