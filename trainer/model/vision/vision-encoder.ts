/** The part of a language model that turns images into vectors, which take the places of tokens in a text. */
import type { Node } from '../../graph/graph.ts';
import type { HostArray } from '../../graph/types.ts';
import type { ModuleSpec, ParameterSpec } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import type { Mmproj, NoMmproj } from './mmproj/mmproj.ts';

/** The files of a model folder that describe how it reads images. */
export interface VisionFiles {
  readonly config: Readonly<Record<string, unknown>>;
  /** preprocessor_config.json, or the image processor in processor_config.json; empty if the folder has neither. */
  readonly processor: Readonly<Record<string, unknown>>;
}

/** A size in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** How pixels become the numbers that an encoder reads: value · rescale, minus the mean, divided by the deviation of its channel. */
export interface PixelScale {
  readonly kernel: 'linear' | 'cubic' | 'lanczos3';
  readonly rescale: number;
  /** [3] */
  readonly mean: readonly number[];
  /** [3] */
  readonly std: readonly number[];
}

/** A picture that the encoder reads at once: the whole image, or a part of it. */
export interface ImageView {
  /** The sizes to which the whole image is resized, one after the other; pixels are rounded to bytes after each. */
  readonly resizes: readonly ImageSize[];
  /** The part of the resized image that is seen; if left out, all of it. */
  readonly part?: ImageSize & { readonly left: number; readonly top: number };
  /** Number of vectors that it becomes. */
  readonly vectors: number;
}

/** The text and the views that an image of one size becomes. */
export interface ImageLayout {
  /** The text that replaces the placeholder of the chat template. It has the image token once per vector. */
  readonly text: string;
  /** The views, in the order of their vectors. */
  readonly views: readonly ImageView[];
  /** The rows and columns of vectors, for models with positions in two dimensions. */
  readonly grid?: { readonly rows: number; readonly columns: number };
}

/** The pixels of a view, scaled. */
export interface ViewPixels extends ImageSize {
  /** [height, width, 3] */
  readonly values: Float32Array;
}

/** An encoder of images with the projector to the features of its language model. Training does not change it. */
export interface VisionEncoder {
  /** Every tensor that it uses, with its name in the files of the whole model. */
  readonly parameters: readonly ParameterSpec[];
  readonly modules: readonly ModuleSpec[];
  readonly scale: PixelScale;
  /** The text by which the chat template marks the place of an image. */
  readonly placeholder: string;
  /**
   * @param maxPixels size beyond which an image is made smaller, if the model takes images of several sizes; its own limit if left out
   * @throws ModelConfigError for a size that the model does not take, such as an extreme ratio of the sides
   */
  readonly layout: (size: ImageSize, maxPixels?: number) => ImageLayout;
  /** The text before that of an image, if it tells images apart by their number. @param index of the image in its text, from 0 */
  readonly numberOf?: ((index: number) => string) | undefined;
  /**
   * The shape of the program that reads a view: a number that names it (patches that fit, say). Few shapes serve all sizes.
   */
  readonly shapeOf: (view: ImageView) => number;
  /**
   * Declares the feeds of a view of this shape, and computes its vectors: [sets, vectors, hiddenSize of the language model], the view's own
   * first. The first set replaces embeddings, the others belong to `VisionInput.deepstack`.
   */
  readonly trace: (tracer: Tracer, shape: number) => Node;
  /** The feeds of a view for the program of its shape. */
  readonly feeds: (view: ImageView, pixels: ViewPixels) => Record<string, HostArray>;
  /** Describes the encoder for llama.cpp; left out for encoders that are not written for it. */
  readonly mmproj?: () => Mmproj | NoMmproj;
}

/** How a language model takes in the vectors of images. */
export interface VisionInput {
  /** The id of the token whose embedding a vector replaces. */
  readonly imageToken: number;
  /** `counted`: the tokens of an image count like others; `grid`: they also have rows and columns, see `gridPositions`. */
  readonly positions: 'counted' | 'grid';
  /** Number of further sets of vectors: set i is added to the hidden states of image tokens after block i. */
  readonly deepstack: number;
  /** The blocks in which the tokens of an image attend to each other in both directions: all, those with a window, or none. */
  readonly attendsWithin: 'all' | 'windowed' | false;
  /** Set if so: the number of tokens of each image, which have to be read at once. */
  readonly tokensPerImage?: number;
}
