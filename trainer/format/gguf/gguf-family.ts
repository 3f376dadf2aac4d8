/** The description of a family that is read from GGUF and written to it. */

/** Settings of config.json from numbers of the metadata. */
export interface GgufSizes {
  readonly hidden: number;
  readonly blocks: number;
  readonly heads: number;
  readonly headDim: number;
  /** A number of the metadata under the architecture's name, where the file has it. */
  readonly number: (key: string) => number | undefined;
  /** The small number that norms add to the mean square, or to the variance. */
  readonly epsilon: number;
  /** Whether the file says 0 there. */
  readonly isNothing: (key: string) => boolean;
  /** Whether the file has true there. */
  readonly isTrue: (key: string) => boolean;
  /** The entries of a list of the metadata, one a block; undefined where the file has no list there. */
  readonly list: (key: string) => readonly (number | boolean)[] | undefined;
  /** Whether there is a tensor of Hugging Face's name. */
  readonly has: (tensor: string) => boolean;
  /** The shape of the tensor of Hugging Face's name. */
  readonly shapeOf: (tensor: string) => readonly number[] | undefined;
  /** The divisors of the frequencies, where the file has them. */
  readonly ropeFactors: Float32Array | undefined;
  /** Adds to the problems of the file. */
  readonly refuse: (problem: string) => void;
}

/** The heads of a recurrent state. */
export interface StateHeads {
  /** Those of keys, or groups. */
  readonly keyHeads: number;
  /** Those of values. */
  readonly heads: number;
}

/** The key of families with layer norms, in place of that of root-mean-square norms. */
export const LAYER_NORM_EPSILON = 'attention.layer_norm_epsilon';

/** Norms of queries and keys, by their usual names. */
export const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' } as const;

/** The key of how many numbers of each head turn, which families compute where not all do. */
export const TURNED_PART = 'rope.dimension_count';

/** The key by which Granite 4 says whether queries and keys turn. */
export const TURNS = 'rope.scaling.finetuned';

/** The share of each head that turns; 1 if the file does not say it. */
export const turnedShare = ({ number, headDim }: GgufSizes): number => (number(TURNED_PART) ?? headDim) / headDim;

/** The key that counts the last blocks of a file, which guess further tokens (MTP): they are no part of the model, but `block_count` counts them. */
export const GUESSING_BLOCKS = 'nextn_predict_layers';

/** Numbers that the order of a file's rows and columns depends on. */
export interface LayoutSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly state?: StateHeads | undefined;
}

/** How the numbers of a tensor stand in the file; as in the model where nothing is given. */
export interface FileLayout {
  /** The row of the file that holds a row of the model. */
  readonly rows?: ((row: number) => number) | undefined;
  readonly columns?: ((column: number) => number) | undefined;
  readonly values?: { readonly toFile: (x: number) => number; readonly toModel: (x: number) => number } | undefined;
}

export interface GgufFamily {
  readonly class: string;
  readonly modelType: string;
  /** Classes that are written under this name; its own where not given. */
  readonly writes?: readonly string[];
  /** Keys of the metadata that this family computes and others refuse. */
  readonly computed: readonly string[];
  /** Keys with an effect in this family alone, and the value that is computed. */
  readonly only?: Readonly<Record<string, boolean>>;
  /** Names in a block that are not Llama's, without ".weight" and ".bias"; with them, or with ".scale", where the name here has none. */
  readonly names: Readonly<Record<string, string>>;
  /**
   * Layers of a block of the classes that are written under this name, and the layers here that have their rows, in their order; without
   * ".weight" and ".bias".
   */
  readonly joined?: Readonly<Record<string, readonly string[]>>;
  /** The number that the converter added to the weights of norms. */
  readonly normOffset: 0 | 1;
  /** Rows of q and k are stored with the halves of each head interleaved. */
  readonly interleaved: boolean;
  /** llama.cpp reads the window and lets every token see all before it. */
  readonly ignoresWindow?: true;
  /** How Transformers makes its tokenizer from SentencePiece pieces, where not as Llama's. */
  readonly pieces?: 'gemma' | 'phi3';
  /** Tensors that llama.cpp multiplies by without the adapters that are loaded. */
  readonly withoutAdapters?: readonly string[];
  /** Tensors, by llama.cpp's names, without the axis before the last, which is 1 in the model. */
  readonly squeezed?: RegExp;
  /** Vectors, by llama.cpp's names in a block, that files have as matrices: what there are as many rows of. */
  readonly folded?: Readonly<Record<string, keyof StateHeads>>;
  /** The layout of a tensor of a family with a recurrent state, over the one that the other properties say. */
  readonly layout?: (name: string, shape: readonly number[], state: StateHeads) => FileLayout;
  /** Has no MLPs, so that a file may leave their width out. */
  readonly hasNoMlps?: true;
  /** Blocks without a window differ in their positions too, so that a window is written even if no text is longer. */
  readonly turnsByWindow?: true;
  /** `logit_scale` multiplies logits; it divides them in other families. */
  readonly multipliesLogits?: true;
  /** Keys that may hold a list with a number for each block. */
  readonly lists?: readonly string[];
  /** The settings have the rotary positions, and no others are read. */
  readonly ownPositions?: true;
  readonly settings: (sizes: GgufSizes) => Record<string, unknown>;
  /** Keys of the positions in addition where they are scaled by yarn. */
  readonly yarn?: (number: GgufSizes['number']) => Record<string, unknown>;
  /** The family of files that count experts, where one architecture has both. */
  readonly withExperts?: GgufFamily;
}
