/** How the states of a text's tokens become its vector: for a recipe, a model and a folder of sentence-transformers. */

export const poolingModes = ['mean', 'cls', 'max', 'lasttoken'] as const;
export type PoolingMode = (typeof poolingModes)[number];

/** The modules Pooling, Dense and Normalize of sentence-transformers. */
export interface Pooling {
  /** `cls`: the first token. */
  readonly mode: PoolingMode;
  /** Layers that the pooled state passes through, in this order. */
  readonly dense?: readonly DenseLayer[] | undefined;
  /** True if the vector is normalized to length 1. */
  readonly normalize: boolean;
  /** Prompts that are put before texts prior to tokenization. */
  readonly prompts?: TextPrompts | undefined;
}

/** A linear layer [out, width] after the pooling. */
export interface DenseLayer {
  /** The folder of its weights inside the model's folder, for example `2_Dense`. */
  readonly at: string;
  readonly width: number;
  readonly out: number;
  readonly biased: boolean;
}

/** The prompts before a query and before the texts that it searches. */
export interface TextPrompts {
  readonly query?: string | undefined;
  readonly document?: string | undefined;
}
