/** The description of a family of decoders: its table of keys, and the parts that its configs specify. */

import type { ConfigJson } from '../../../config-json.ts';
import type { ConfigValues, KeyTable } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { AttentionShape, DecoderAttention, DecoderConfig, HeadLayersConfig } from '../blocks/decoder-config.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import type { MlpMultipliers } from '../blocks/mlp.ts';
import type { DecoderNames } from '../blocks/names.ts';
import type { Windows } from '../keys/layers.ts';
import type { RopeContext, RopesByType } from '../keys/rope-config.ts';

/** A family's properties other than its sizes; by default, Llama's. */
export interface Own
  extends Partial<
      Pick<
        DecoderAttention,
        | 'scale'
        | 'cap'
        | 'innerNorms'
        | 'sinks'
        | 'gated'
        | 'normsValues'
        | 'rotatesNeighbors'
        | 'rotatesBackwards'
        | 'isBidirectional'
        | 'joinsByHead'
        | 'dividesByLayer'
        | 'inputMultiplier'
        | 'outputMultiplier'
      >
    >,
    Partial<
      Pick<
        DecoderConfig,
        'parts' | 'delta' | 'convolution' | 'mamba' | 'latent' | 'layerInputs' | 'altUp' | 'laurelRank' | 'scalesBlocks' | 'sideBySide'
      >
    > {
  /** The names, for families in which they depend on the config. */
  readonly names?: DecoderNames;
  readonly biases: DecoderAttention['biases'];
  readonly windows: Windows;
  /** The heads of each block, for families whose blocks differ in them. */
  readonly heads?: readonly Omit<AttentionShape, 'window'>[];
  readonly mlpBias?: boolean;
  readonly mlpMultipliers?: MlpMultipliers;
  readonly mlpCutoffs?: readonly (number | undefined)[];
  readonly mlpInnerDropout?: number;
  /** The intermediate size of each block's MLP, for families whose blocks differ in it. */
  readonly intermediateSizes?: readonly number[];
  readonly embeddingDropout?: number;
  /** Dropout of the probabilities; given if a key other than `attention_dropout` states it. */
  readonly attentionDropout?: number;
  readonly residualDropout?: number;
  /** Given if it is not the residual dropout. */
  readonly mlpDropout?: number;
  /** True if the embedding's row of padding is trained as any other. */
  readonly trainsPadding?: boolean;
  readonly activation?: string;
  readonly norms?: DecoderConfig['norms'];
  readonly multipliers?: Partial<Pick<DecoderConfig, 'embeddingMultiplier' | 'residualMultiplier' | 'logitMultiplier'>>;
  readonly logitCap?: number | undefined;
  /** True if the head has a bias. */
  readonly headBias?: boolean;
  readonly headLayers?: HeadLayersConfig;
  /** True if the head is the embedding; given if a key other than `tie_word_embeddings` states it. */
  readonly tied?: boolean;
  readonly experts?: DecoderExperts;
  /** Other contradictions between keys. */
  readonly problems?: readonly ConfigProblem[];
  /** The blocks that rotate queries and keys; all by default. */
  readonly usesRope?: readonly boolean[];
  /** The base of the rotary positions of each block, for families in which it differs; 0 means no rotation. */
  readonly thetas?: readonly number[];
  /** For families whose blocks rotate according to their type. */
  readonly ropesByType?: RopesByType;
}

export interface Family<Keys extends KeyTable> {
  readonly family: string;
  /** Llama's by default. */
  readonly names?: DecoderNames;
  /** Features of the family's positions that Llama does not have. */
  readonly rope?: Partial<Pick<RopeContext, 'theta' | 'types' | 'aliases' | 'isPartial' | 'grid' | 'growsQueries' | 'stretchesBase'>>;
  /** Returns settings for keys that a config omits, if the default is not a single value. */
  readonly defaults?: (config: ConfigJson) => ConfigJson;
  readonly keys: Keys;
  readonly own: (config: ConfigValues<Keys>) => Own;
}

/** Ties the values that `own` receives to the keys of the family. */
export const familyOf = <Keys extends KeyTable>(family: Family<Keys>): Family<Keys> => family;

/** Biases of attention: all products have them, or none does. */
export const alike = (biased: boolean): DecoderAttention['biases'] => ({ qkv: biased, output: biased });
