/** The config.json of a decoder, with all defaults filled in. */
import type { Positions } from '../../../layer/positions/rope-scaling.ts';
import type { KeyValueShape } from '../../../model-spec.ts';
import type { VisionInput } from '../../../vision/vision-encoder.ts';
import type { DecoderConvolution } from './convolution.ts';
import type { DecoderDelta } from './delta.ts';
import type { DecoderExperts } from './experts.ts';
import type { DecoderMamba } from './mamba.ts';
import type { MlpMultipliers } from './mlp.ts';
import type { DecoderNames } from './names.ts';

/** The sizes and parts of one model, read from its config.json by `decoder-families.ts`. */
export interface DecoderConfig {
  readonly family: string;
  readonly names: DecoderNames;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly blocks: number;
  readonly maxPositions: number;
  /** In families whose blocks have a token mixer or an MLP, not both: which of them each has. */
  readonly parts?: readonly ('mixer' | 'mlp')[] | undefined;
  readonly attention: DecoderAttention;
  /** The MLPs, with one intermediate size per block. */
  readonly mlp: {
    readonly intermediateSizes: readonly number[];
    readonly activation: string;
    readonly biased: boolean;
    readonly multipliers?: MlpMultipliers | undefined;
    /** For each block, how many standard deviations above their mean the gates of a token start to count; undefined: all count. */
    readonly cutoffs?: readonly (number | undefined)[] | undefined;
    /** Dropout of what the last product reads, in training. */
    readonly dropout: number;
  };
  /** In families where some blocks have a recurrent state in place of attention. */
  readonly delta?: DecoderDelta | undefined;
  /** In families where some blocks have a short convolution in place of attention. */
  readonly convolution?: DecoderConvolution | undefined;
  /** In families where some blocks have Mamba-2 in place of attention, or all have both. */
  readonly mamba?: DecoderMamba | undefined;
  /** In families that compute the keys and values of all heads from a short vector per token. */
  readonly latent?: DecoderLatent | undefined;
  /** In families with mixtures of experts in place of some MLPs. */
  readonly experts?: DecoderExperts | undefined;
  readonly layerInputs?: LayerInputsConfig | undefined;
  /** In families with several streams of states: their number, and the one that the blocks compute. */
  readonly altUp?: { readonly streams: number; readonly active: number } | undefined;
  /** The rank of a residual connection with trained factors next to attention. */
  readonly laurelRank?: number | undefined;
  /** True if the output of each block is multiplied by a factor from the file, which is not trained. */
  readonly scalesBlocks: boolean;
  /** How each block rotates its queries and keys; undefined: not at all. */
  readonly positions: readonly (Positions | undefined)[];
  /**
   * RMS norms, or with `centered` layer norms, which have a shift if they are `shifted`; `offset` is added to their weights, if they have
   * weights. A norm exists if `names` has it.
   */
  readonly norms: {
    readonly epsilon: number;
    readonly offset: 0 | 1;
    readonly centered?: true;
    readonly shifted?: true;
    readonly withoutWeights?: true;
  };
  /** True if attention and MLP read the block's input, each by its norm or both by one, and both outputs are added to the input. */
  readonly sideBySide: boolean;
  /** Multiplies embeddings; `rounded`: the factor is rounded to the type of products. */
  readonly embeddingMultiplier: { readonly factor: number; readonly rounded: boolean };
  /** Multiplies the outputs of attention and MLP before they are added to the stream. */
  readonly residualMultiplier: number;
  /** Dropout of the embeddings, in training. */
  readonly embeddingDropout: number;
  /** Dropout of the outputs of attention, in training. */
  readonly residualDropout: number;
  /** Dropout of the outputs of MLPs, in training. */
  readonly mlpDropout: number;
  /** Multiplies the logits. */
  readonly logitMultiplier: number;
  /** Soft cap of the logits. */
  readonly logitCap: number | undefined;
  /** True if the head is the embedding. */
  readonly tied: boolean;
  /** True if the head has a bias. */
  readonly headBias: boolean;
  /** In families with layers between the last hidden states and the head. */
  readonly headLayers: HeadLayersConfig | undefined;
  /** The token that pads texts. */
  readonly padId: number | undefined;
  /** Tokens that stand for images, sounds and videos, and that a text without these has as padding. */
  readonly placeholders?: readonly number[];
  /** See `KnownTokens`. */
  readonly textTokens?: number;
  /** The embedding row of padding, which gets no gradient. */
  readonly paddingRow: number | undefined;
  /** How images enter the text, in models that read some. */
  readonly vision?: VisionInput;
  readonly remark?: string;
}

/** The layers between the last hidden states and a head: a product, an activation and a norm. */
export interface HeadLayersConfig {
  readonly activation: string;
  /** True if the product has a bias, as then has a head for whole texts. */
  readonly biased: boolean;
  /** Dropout of what a head for whole texts reads, in training. */
  readonly dropout: number;
}

export interface DecoderAttention {
  readonly heads: number;
  /** The shape of each block's attention. */
  readonly layers: readonly AttentionShape[];
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
  /** The norms of queries and keys: per head or over all heads of a token before rotation, or per head after rotation. */
  readonly innerNorms: 'heads' | 'whole' | 'rotated heads' | undefined;
  /** True if the rows of queries, keys and values follow each other head by head, in families with one matrix for them. */
  readonly joinsByHead: boolean;
  /** True if neighboring features are rotated in pairs, instead of features from the two halves of a head. */
  readonly rotatesNeighbors: boolean;
  /** True if queries and keys rotate the other way. */
  readonly rotatesBackwards: boolean;
  /** True if values are normalized per head, by a norm without a weight. */
  readonly normsValues: boolean;
  /** Factors of the states that queries, keys and values are computed from, and of the output. */
  readonly inputMultiplier: number;
  readonly outputMultiplier: number;
  /** Multiplies the scores. */
  readonly scale: number;
  /** True if each block divides its scores by its number, counted from 1. */
  readonly dividesByLayer: boolean;
  /** Soft cap of the scores. */
  readonly cap: number | undefined;
  /** True if each head has one score in addition to those of keys, which takes a share of the probabilities. */
  readonly sinks: boolean;
  /**
   * Sigmoid gates on the outputs of the heads.
   * - features: one for each feature, whose rows follow the head's queries
   * - features apart: one for each feature, from a layer of their own
   * - heads: one for each head, from a layer of their own
   */
  readonly gated: 'features' | 'features apart' | 'heads' | undefined;
  /** Dropout of the probabilities, in training. */
  readonly dropout: number;
  /** True if a query also attends to later keys; with a window, only to those within it. */
  readonly isBidirectional: boolean;
}

/** The part of attention that may differ from block to block. */
export interface AttentionShape extends KeyValueShape {
  /** Number of keys that a query attends to, including its own position; undefined: all earlier ones. */
  readonly window: number | undefined;
  /** The earlier block whose keys and values are read; if undefined, the block has its own. */
  readonly keysFrom?: number | undefined;
  /** True if the product that computes the keys also gives the values. */
  readonly valuesAreKeys?: boolean | undefined;
}

/** The sizes of latent attention, which all blocks share, in features per head unless stated otherwise. */
export interface DecoderLatent {
  /** Features of the vector that all queries are computed from; undefined: they are computed from the states. */
  readonly queryRank: number | undefined;
  /** Features of the vector that all keys and values are computed from. */
  readonly rank: number;
  /** Features of queries and keys without positions. */
  readonly nopeDim: number;
  /** Features of queries and keys with positions; for keys, all heads share them. */
  readonly ropeDim: number;
  readonly valueDim: number;
}

/** A second embedding of each token, with one input per block, which is added to a product of the first (Gemma 3n). */
export interface LayerInputsConfig {
  readonly vocabularySize: number;
  /** Features of one block's input. */
  readonly width: number;
}
