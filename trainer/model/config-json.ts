/** A model's config.json as it is read, and the choices of a task that change the model built from it. */
import type { Pooling, Problem } from './model-spec.ts';

export interface ModelOptions {
  /** The labels of the task. Where they are others than the config's in number, the head is replaced. Left out: the config's. */
  readonly labels?: readonly string[];
  /** Left out: the config's, or what follows from its number of labels. */
  readonly problem?: Problem;
  /** How an embedder makes the vector of a text; left out, it is the mean of its tokens, brought to length 1. */
  readonly pooling?: Pooling;
  /** Pixels, height and width, for models that take images of any size; 224 × 224 where not given. Others have a size of their own. */
  readonly imageSize?: readonly [number, number];
  /** For the start values of a new head; 0 where not given. */
  readonly headSeed?: number;
}

export type ConfigJson = Readonly<Record<string, unknown>>;
