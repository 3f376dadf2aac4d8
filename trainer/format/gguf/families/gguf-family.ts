/** The description of a family that is read from and written to GGUF. */

/** Values of the metadata that config.json settings are derived from. */
export interface GgufSizes {
  readonly hidden: number;
  readonly blocks: number;
  readonly heads: number;
  readonly headDim: number;
  /** Reads a number from the metadata under the architecture's name, if present. */
  readonly number: (key: string) => number | undefined;
  /** Epsilon of the norms, added to the mean square or to the variance. */
  readonly epsilon: number;
  /** True if the file has 0 for this key. */
  readonly isNothing: (key: string) => boolean;
  /** True if the file has true for this key. */
  readonly isTrue: (key: string) => boolean;
  /** Reads a list from the metadata, with one entry per block; undefined if the file has no list there. */
  readonly list: (key: string) => readonly (number | boolean)[] | undefined;
  /** True if there is a tensor with this Hugging Face name. */
  readonly has: (tensor: string) => boolean;
  /** Returns the shape of the tensor with this Hugging Face name. */
  readonly shapeOf: (tensor: string) => readonly number[] | undefined;
  /** The divisors of the rotary frequencies, if the file has them. */
  readonly ropeFactors: Float32Array | undefined;
  /** Adds a problem of the file. */
  readonly refuse: (problem: string) => void;
}

/** The numbers of heads of a recurrent state. */
export interface StateHeads {
  /** Number of key heads, or groups. */
  readonly keyHeads: number;
  /** Number of value heads. */
  readonly heads: number;
}

/** The key for epsilon in families with layer norms, in place of the key for RMS norms. */
export const LAYER_NORM_EPSILON = 'attention.layer_norm_epsilon';

/** Norms of queries and keys, by their usual names. */
export const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' } as const;

/** The key for the number of features of each head that rotate; families that rotate only a part compute it. */
export const ROTARY_FEATURES = 'rope.dimension_count';

/** The key that states whether Granite 4 applies RoPE to queries and keys. */
export const TURNS = 'rope.scaling.finetuned';

/** The share of each head that rotates; 1 by default. */
export const turnedShare = ({ number, headDim }: GgufSizes): number => (number(ROTARY_FEATURES) ?? headDim) / headDim;

/**
 * The key for the number of multi-token prediction (MTP) blocks at the end of a file: they are not part of the model, but `block_count`
 * includes them.
 */
export const MTP_BLOCKS = 'nextn_predict_layers';

/** Keys for the sizes of a recurrent state. */
export const STATE = {
  width: 'ssm.conv_kernel',
  headDim: 'ssm.state_size',
  keyHeads: 'ssm.group_count',
  heads: 'ssm.time_step_rank',
  values: 'ssm.inner_size',
} as const;

/** Conversion of values: the model stores logarithms of what the file stores with a negative sign. */
export const AS_LOGARITHMS = { toFile: (x: number) => -Math.exp(x), toModel: (x: number) => Math.log(-x) };

/** Sizes that determine the order of a file's rows and columns. */
export interface LayoutSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly state?: StateHeads | undefined;
  /** Number of features of each head that rotate. */
  readonly rotated?: number | undefined;
  /** For families with multipliers inside weights: what a file's weights contain in addition, by llama.cpp's name without block and ending. */
  readonly multipliers?: Readonly<Record<string, Multiplier>> | undefined;
}

/** Factors of a whole tensor or of each row, which are multiplied one after the other in float32. */
export type Multiplier = readonly (number | Float32Array)[];

/** The layout of a tensor in the file; by default as in the model. */
export interface FileLayout {
  /** Returns the file's row for a row of the model. */
  readonly rows?: ((row: number) => number) | undefined;
  readonly columns?: ((column: number) => number) | undefined;
  readonly values?: { readonly toFile: (x: number) => number; readonly toModel: (x: number) => number } | undefined;
  readonly multiplier?: Multiplier | undefined;
}

export interface GgufFamily {
  readonly class: string;
  readonly modelType: string;
  /** Classes that can be written under this name; by default, only the family's own class. */
  readonly writes?: readonly string[];
  /** Metadata keys that this family supports and others refuse. */
  readonly computed: readonly string[];
  /** Keys that have an effect only in this family, with the supported value. */
  readonly only?: Readonly<Record<string, boolean>>;
  /**
   * Names, outside or within a block, that differ from Llama's, without ".weight" and ".bias"; or with these endings, or ".scale", if the Hugging Face
   * name has no ending. A Hugging Face name that ends in ".weight" has no ending in the file.
   */
  readonly names: Readonly<Record<string, string>>;
  /** The path of the blocks in Hugging Face's names; `model.layers` by default. */
  readonly blocksAt?: string;
  /** The value that the converter added to the weights of norms. */
  readonly normOffset: 0 | 1;
  /** True if rows of q and k are stored with the two halves of each head interleaved. */
  readonly interleaved: boolean;
  /** Set if rows of q and k that rotate in pairs of neighbors are stored as two halves of each head. */
  readonly splitsPairs?: true;
  /** Set if the model has rows of queries, keys and values head by head in one matrix, and files have all queries first, then all keys. */
  readonly splitsHeads?: true;
  /** Set if llama.cpp approximates the activation, GELU, by tanh. */
  readonly approximatesGelu?: true;
  /** Set if llama.cpp reads the window but lets every token attend to all earlier tokens. */
  readonly ignoresWindow?: true;
  /** Set if llama.cpp has no limit of the time steps of a state, though the models have a lower one. */
  readonly ignoresLeastStep?: true;
  /** Set if files have no multipliers: those of the config are in the weights. */
  readonly hasMultipliedWeights?: true;
  /** Set if llama.cpp rotates without the factors of frequencies that a file may have. */
  readonly ignoresFrequencyFactors?: true;
  /** Set if norms are RMS norms in a family whose files may have epsilon under the key for layer norms alone. */
  readonly hasRmsNorms?: true;
  /** How Transformers builds its tokenizer from SentencePiece pieces, if not as for Llama. */
  readonly pieces?: 'gemma' | 'phi3';
  /** How pairs of features take their position from time, row and column, in families with positions on a grid. */
  readonly gridPairs?: 'in order' | 'in turn';
  /** llama.cpp's names of tensors that it multiplies without applying loaded adapters. */
  readonly withoutAdapters?: RegExp;
  /** llama.cpp's names of tensors that lack the second-to-last axis, which has size 1 in the model. */
  readonly squeezed?: RegExp;
  /** Parameters of one number that files have in the metadata, in a list with one entry per block: names within a block, by the whole key. */
  readonly numbers?: Readonly<Record<string, string>>;
  /** Set if llama.cpp needs layers for keys and values, which it does not read, of blocks that read those of others. */
  readonly hasUnreadKeys?: true;
  /** llama.cpp's names of square matrices in one tensor, [matrices, rows, columns]. */
  readonly squares?: RegExp;
  /** Vectors, by llama.cpp's name within a block, that files store as matrices, with the kind of heads that their rows stand for. */
  readonly folded?: Readonly<Record<string, keyof StateHeads>>;
  /** The layout of a tensor in a family with a recurrent state, which overrides the one from the other properties. */
  readonly layout?: (name: string, shape: readonly number[], state: StateHeads) => FileLayout;
  /** Set if files hold matrices as the model uses them, which Hugging Face's files transpose. */
  readonly hasModelMatrices?: true;
  /** Set if positions are learned, so that none rotate. */
  readonly learnsPositions?: true;
  /** Set for a family without MLPs, whose files may omit their width. */
  readonly hasNoMlps?: true;
  /** Set if blocks without a window also use other positions, so that a window is written even if no text is longer. */
  readonly turnsByWindow?: true;
  /** Set if `logit_scale` multiplies the logits; in other families it divides them. */
  readonly multipliesLogits?: true;
  /** Keys that may hold a list with one value per block. */
  readonly lists?: readonly string[];
  /** Set if the settings include the rotary positions, so that no others are read. */
  readonly ownPositions?: true;
  readonly settings: (sizes: GgufSizes) => Record<string, unknown>;
  /** Additional keys of the positions if they are scaled by yarn. */
  readonly yarn?: (number: GgufSizes['number']) => Record<string, unknown>;
  /** The family for files with experts, if one architecture covers both. */
  readonly withExperts?: GgufFamily;
  /** The family for files that divide the rotating features by time, row and column, if one architecture covers both. */
  readonly withGrid?: GgufFamily;
}

/** The key for a list of the blocks with a window. */
export const PATTERN = 'attention.sliding_window_pattern';
/** The key for a list of the blocks that rotate queries and keys. */
export const ROTATING = 'attention.rope_pattern';

/** A family with Llama's names and rows. */
export const plain = { computed: [], names: {}, normOffset: 0, interleaved: false } as const;

/** The attention window in a file; 0 means none. */
export const windowOf = ({ number, isNothing }: GgufSizes): number | null =>
  isNothing('attention.sliding_window') ? null : (number('attention.sliding_window') ?? null);
