/** The config.json of a decoder, with all defaults in place. */
import type { Positions } from '../../../layer/rope-scaling.ts';
import type { KeyValueShape } from '../../../model-spec.ts';
import type { DecoderConvolution } from './convolution.ts';
import type { DecoderDelta } from './delta.ts';
import type { DecoderExperts } from './experts.ts';
import type { DecoderMamba } from './mamba.ts';
import type { DecoderNames } from './names.ts';

/** The sizes and parts of one model, read from its config.json by `decoder-families.ts`. */
export interface DecoderConfig {
  readonly family: string;
  readonly names: DecoderNames;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly blocks: number;
  readonly maxPositions: number;
  readonly attention: DecoderAttention;
  /** The sizes are those of each block. */
  readonly mlp: { readonly intermediateSizes: readonly number[]; readonly activation: string; readonly biased: boolean };
  /** In families in which some blocks have a recurrent state in place of attention. */
  readonly delta?: DecoderDelta | undefined;
  /** In families in which some blocks have a short convolution in place of attention. */
  readonly convolution?: DecoderConvolution | undefined;
  /** In families in which some blocks have Mamba-2 in place of attention. */
  readonly mamba?: DecoderMamba | undefined;
  /** In families whose heads make keys and values of a short vector of each token. */
  readonly latent?: DecoderLatent | undefined;
  /** In families with mixtures of experts in place of some MLPs. */
  readonly experts?: DecoderExperts | undefined;
  readonly layerInputs?: LayerInputsConfig | undefined;
  /** The output of each block is multiplied by a number of its file, which is not trained. */
  readonly scalesBlocks: boolean;
  /** How each block turns its queries and keys; undefined: not at all. */
  readonly positions: readonly (Positions | undefined)[];
  /** Root-mean-square norms, or with `centered` layer norms without a shift; `offset` is added to their weights. A norm exists if `names` has it. */
  readonly norms: { readonly epsilon: number; readonly offset: 0 | 1; readonly centered?: true };
  /** Attention and MLP read the same norm, and both are added to what the block reads. */
  readonly sideBySide: boolean;
  /** Embeddings are multiplied by it; `rounded`: to the type that products are computed in. */
  readonly embeddingMultiplier: { readonly factor: number; readonly rounded: boolean };
  /** The outputs of attention and MLP are multiplied by it before they are added. */
  readonly residualMultiplier: number;
  /** Dropout of the outputs of attention and MLP, in training. */
  readonly residualDropout: number;
  /** Logits are multiplied by it. */
  readonly logitMultiplier: number;
  /** Soft cap of the logits. */
  readonly logitCap: number | undefined;
  /** The head is the embedding. */
  readonly tied: boolean;
  /** The row of the embedding that padding has, which no gradient reaches. */
  readonly paddingRow: number | undefined;
  readonly remark?: string;
}

export interface DecoderAttention {
  readonly heads: number;
  /** The shape of each block's attention. */
  readonly layers: readonly AttentionShape[];
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
  /** Queries and keys are normed: each head alone, or all of a token's together, before they are turned; or each head behind its turn. */
  readonly innerNorms: 'heads' | 'whole' | 'turned heads' | undefined;
  /** Neighboring features turn together, in place of those of the two halves of a head. */
  readonly turnsNeighbors: boolean;
  /** Values are normed head by head, by a norm without a weight. */
  readonly normsValues: boolean;
  /** Scores are multiplied by it. */
  readonly scale: number;
  /** Soft cap of the scores. */
  readonly cap: number | undefined;
  /** Each head has one score in addition to those of keys; it takes a share of the probabilities. */
  readonly sinks: boolean;
  /** The outputs of the heads are multiplied by sigmoids of gates, whose rows each head has behind those of its queries. */
  readonly gated: boolean;
  /** Dropout of the probabilities, in training. */
  readonly dropout: number;
  /** A query also sees the keys behind it: those nearer than its window, where it has one. */
  readonly seesBothWays: boolean;
}

/** The part of attention that may differ from block to block. */
export interface AttentionShape extends KeyValueShape {
  /** How many keys a query sees, itself among them; undefined: all before it. */
  readonly window: number | undefined;
  /** The earlier block whose keys and values are read; left out, the block has its own. */
  readonly keysFrom?: number | undefined;
  /** The product that gives the keys gives the values too. */
  readonly valuesAreKeys?: boolean | undefined;
}

/** The sizes of latent attention, which all blocks share: features of a head, unless said otherwise. */
export interface DecoderLatent {
  /** The features of the vector that all queries are made of; undefined: they are made of the states. */
  readonly queryRank: number | undefined;
  /** The features of the vector that all keys and values are made of. */
  readonly rank: number;
  /** Those of queries and keys without positions. */
  readonly plain: number;
  /** Those of queries and keys with positions; of keys, they are the same for all heads. */
  readonly turning: number;
  readonly values: number;
}

/** A second embedding of each token, with an input for each block, which is added to a product of the first (Gemma 3n). */
export interface LayerInputsConfig {
  readonly vocabularySize: number;
  /** Features of the input of one block. */
  readonly width: number;
}
