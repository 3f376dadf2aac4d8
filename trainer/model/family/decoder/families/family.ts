/** The description of a family of decoders: its table of keys, and the parts that a config of it asks for. */

import type { ConfigJson } from '../../../config-json.ts';
import type { ConfigValues, KeyTable } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { AttentionShape, DecoderAttention, DecoderConfig } from '../blocks/decoder-config.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import type { DecoderNames } from '../blocks/names.ts';
import type { Windows } from '../keys/layers.ts';
import type { LayerTurns, RopeContext } from '../keys/rope-config.ts';

/** A family's properties other than its sizes; those that are left out are Llama's. */
export interface Own
  extends Partial<
      Pick<DecoderAttention, 'scale' | 'cap' | 'innerNorms' | 'sinks' | 'gated' | 'normsValues' | 'turnsNeighbors' | 'seesBothWays'>
    >,
    Partial<Pick<DecoderConfig, 'delta' | 'convolution' | 'mamba' | 'latent' | 'layerInputs' | 'scalesBlocks' | 'sideBySide'>> {
  readonly biases: DecoderAttention['biases'];
  readonly windows: Windows;
  /** The heads of each block, for families whose blocks differ in them. */
  readonly heads?: readonly Omit<AttentionShape, 'window'>[];
  readonly mlpBias?: boolean;
  /** The features between the products of each block's MLP, for families whose blocks differ in them. */
  readonly intermediateSizes?: readonly number[];
  readonly residualDropout?: number;
  readonly activation?: string;
  readonly norms?: DecoderConfig['norms'];
  readonly multipliers?: Partial<Pick<DecoderConfig, 'embeddingMultiplier' | 'residualMultiplier' | 'logitMultiplier'>>;
  readonly logitCap?: number | undefined;
  /** Whether the head is the embedding, if another key than `tie_word_embeddings` says it. */
  readonly tied?: boolean;
  readonly experts?: DecoderExperts;
  /** Other contradictions between keys. */
  readonly problems?: readonly ConfigProblem[];
  /** The blocks that turn queries and keys; all where not given. */
  readonly turning?: readonly boolean[];
  /** For families whose blocks turn by their type. */
  readonly turns?: LayerTurns;
}

export interface Family<Keys extends KeyTable> {
  readonly family: string;
  /** Llama's where not given. */
  readonly names?: DecoderNames;
  /** Features of the family's positions that Llama's do not have. */
  readonly rope?: Partial<Pick<RopeContext, 'theta' | 'types' | 'aliases' | 'isPartial' | 'hasGrids' | 'growsQueries' | 'stretchesBase'>>;
  /** Settings that stand for keys that a config leaves out, where the default is no single value. */
  readonly defaults?: (config: ConfigJson) => ConfigJson;
  readonly keys: Keys;
  readonly own: (config: ConfigValues<Keys>) => Own;
}

/** Ties the values that `own` is given to the keys of the family. */
export const familyOf = <Keys extends KeyTable>(family: Family<Keys>): Family<Keys> => family;

/** All products of attention have biases, or none has. */
export const alike = (biased: boolean): DecoderAttention['biases'] => ({ qkv: biased, output: biased });
