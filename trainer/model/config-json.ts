/** A model's parsed config.json, and the choices of a task that change the model built from it. */
import type { Pooling } from '../protocol/pooling.ts';
import type { Problem } from './model-spec.ts';

export interface ModelOptions {
  /** The labels of the task; by default the config's. If their number differs from the config's, the head is replaced. */
  readonly labels?: readonly string[];
  /** The kind of problem; by default the config's, or the one that follows from its number of labels. */
  readonly problem?: Problem;
  /** How an embedder computes the vector of a text; by default the mean of its tokens, normalized to length 1. */
  readonly pooling?: Pooling;
  /** Height and width in pixels for models that take images of any size, by default 224 × 224. Other models have a fixed size. */
  readonly imageSize?: readonly [number, number];
  /** Seed for the initial values of a new head, 0 by default. */
  readonly headSeed?: number;
}

export type ConfigJson = Readonly<Record<string, unknown>>;
