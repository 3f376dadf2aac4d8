/** The trainer's view of a model: its parameters, its modules, and how to trace it into a graph. */

import type { Node } from '../graph/graph.ts';
import type { Pooling } from '../protocol/pooling.ts';
import type { KnownTokens } from './known-tokens.ts';
import type { AttentionMask } from './layer/attention/attention.ts';
import type { ModuleSpec, ParameterSpec } from './module-specs.ts';
import type { Tracer } from './tracer.ts';
import type { VisionInput } from './vision/vision-encoder.ts';

/** The parts of any model that methods, targets, weights, adapters, memory estimates and coverage need. */
export interface Model {
  readonly family: string;
  /** A sentence about the parts of the files that are not loaded. */
  readonly remark?: string;
  readonly blocks: number;
  readonly hiddenSize: number;
  /** Every tensor that the model uses (a tied head is not listed twice). */
  readonly parameters: readonly ParameterSpec[];
  /** Everything that can be trained, in the order of the forward pass. */
  readonly modules: readonly ModuleSpec[];
  /** Tensors that files of the model's classes have, and that the model does not use; exports keep them. */
  readonly carried?: readonly ParameterSpec[];
}

/** The tokens of one batch, and which of them are visible to each other. */
export interface TokenInputs {
  /** int32 [batch, tokens]. */
  readonly ids: Node;
  readonly mask: AttentionMask;
  /** int32 [batch, tokens]; by default, a sequence counts from 0. */
  readonly positions?: Node;
  /** int32 [1, 1]: tokens of the whole text if `positions` covers only a part of it; by default, derived from the highest position. */
  readonly length?: Node;
  /** [batch, tokens]: 1 for real tokens, 0 for padding. By default, padding comes after the text, where no token attends to it. */
  readonly seen?: Node;
  /** The images in the text; by default, there are none. */
  readonly images?: ImageInputs;
  /**
   * Lets a decoder store keys [batch, kvHeads, tokens, headDim] and values [batch, kvHeads, tokens, valueDim] in a cache, and attend to the
   * whole cache.
   */
  readonly cache?: (layer: number, k: Node, v: Node) => { readonly k: Node; readonly v: Node };
  /** With `cache`, lets blocks with a recurrent state continue a text; without it, `positions` show where a text begins in a row. */
  readonly states?: StateCache;
}

/** Vectors of images that take the places of tokens. */
export interface ImageInputs {
  /**
   * [sets, batch, tokens, hiddenSize], one set more than `VisionInput.deepstack`; any finite numbers where no image is. Left out, with
   * `isImage`, if none of the tokens belongs to an image, as when a text is continued.
   */
  readonly vectors?: Node;
  /** [batch, tokens]: true where a vector takes the place of a token. */
  readonly isImage?: Node;
  /**
   * int32 [3, batch, tokens], for models with positions in two dimensions: time, row and column of each token. `TokenInputs.positions` still
   * counts tokens.
   */
  readonly grid?: Node;
  /**
   * int32 [batch, tokens], for models that attend within images: the place in the row, with a cache the position, of the last token of the
   * image that a token belongs to; its own for a token of the text.
   */
  readonly ends?: Node;
}

/** The shape of a block's recurrent state. */
export interface StateShape {
  /** Shape of the last tokens, [tokens, channels]. */
  readonly recent: readonly [tokens: number, channels: number];
  /** [heads, keyDim, valueDim]; undefined for a block that remembers only the last tokens. */
  readonly memory?: readonly [heads: number, keyDim: number, valueDim: number];
}

/** The state of one block, each part with [batch] in front of its shape; `memory` is present if its shape is. */
export interface LayerState {
  readonly recent: Node;
  readonly memory?: Node | undefined;
}

export interface StateCache {
  /** int32 [batch]: how many of the tokens read belong to each text. The tokens after them are padding and change no state. */
  readonly counts: Node;
  /** Returns the state before these tokens, which is 0 at the beginning of a text. */
  readonly read: (layer: number) => LayerState;
  /** Stores the state after these tokens. */
  readonly write: (layer: number, state: LayerState) => void;
}

/** The keys and values of one block. */
export interface KeyValueShape {
  /** Neighboring heads share keys and values. */
  readonly kvHeads: number;
  /** The features of a key, and of a value unless `valueDim` differs. */
  readonly headDim: number;
  readonly valueDim?: number | undefined;
}

export interface CausalModel extends Model, KnownTokens {
  readonly kind: 'causal';
  /** True if the model can get a head for whole texts, because there is a class with one. */
  readonly takesScoreHead?: boolean;
  /** Set if tokens also attend to later tokens, so that the model cannot predict next tokens. */
  readonly isBidirectional?: boolean;
  /** Set if files of this class contain no head. */
  readonly hasNoHead?: boolean;
  readonly maxPositions: number;
  /** The keys and values that each block caches; undefined for a block without a cache. */
  readonly keyValues: readonly (KeyValueShape | undefined)[];
  /**
   * The recurrent states of the blocks, by block index; undefined if no block has one. A state covers the text up to the last token only:
   * there is no way back to an earlier token.
   */
  readonly states?: ReadonlyMap<number, StateShape> | undefined;
  /** The module that computes logits: the output head, or the embedding it is tied to. */
  readonly head: ModuleSpec;
  /** The bias of a head that is tied to the embedding: a module of its own. */
  readonly headBias?: ModuleSpec | undefined;
  /** The layers between the last hidden states and the head, in families with some, and the states that they read. */
  readonly headLayers?: { readonly modules: readonly ModuleSpec[]; readonly before: CausalModel['hidden'] } | undefined;
  /** Soft cap of the head's logits: see `headLogits`. */
  readonly logitCap?: number | undefined;
  /**
   * Texts longer than this rotate with other frequencies, so inference has to know the length of the whole text. `isReread`: what is cached
   * of a shorter text then becomes useless.
   */
  readonly ropeRescaling?: { readonly length: number; readonly isReread: boolean } | undefined;
  /** How images enter the text; undefined for a model that reads none. */
  readonly vision?: VisionInput | undefined;
  /** The states that the head reads, [batch · tokens, hiddenSize]. */
  readonly hidden: (tracer: Tracer, inputs: TokenInputs) => Node;
}

/** The input of a classifier. */
export type ClassifierInput =
  | (KnownTokens & {
      readonly kind: 'tokens';
      readonly maxPositions: number;
      readonly padId: number;
      /** Number of segment types that the model distinguishes; with 0 or 1, no `types` are fed. */
      readonly tokenTypes: number;
    })
  | {
      readonly kind: 'image';
      readonly height: number;
      readonly width: number;
      readonly channels: number;
      /** True if height and width can be chosen (`ModelOptions.imageSize`); other models have a fixed size. */
      readonly resizable: boolean;
    };

/** True if a model accepts images of this height and width. */
export const takesSize = ({ resizable, height, width }: Extract<ClassifierInput, { kind: 'image' }>, size: number): boolean =>
  resizable || (height === size && width === size);

/** The chosen height and width of a model that takes images of any size; undefined for other models. */
export const chosenSize = (input: ClassifierInput): readonly [number, number] | undefined =>
  input.kind === 'image' && input.resizable ? [input.height, input.width] : undefined;

/** True if a model predicts the next token. */
export const isCausal = (model: Model): model is CausalModel => 'kind' in model && model.kind === 'causal';

/** True if a model gives a text, or a pair of texts, a single score. */
export const scoresTexts = (model: AnyModel): model is ClassifierModel =>
  model.kind === 'classifier' && model.input.kind === 'tokens' && model.problem === 'regression';

/** True if a model gives a single text one label or several. A head of one label scores pairs of texts, as that of a reranker. */
export const classifiesTexts = (model: AnyModel): model is ClassifierModel =>
  model.kind === 'classifier' &&
  model.input.kind === 'tokens' &&
  model.labels.length > 1 &&
  ['single_label', 'multi_label'].includes(model.problem);

/** True if a model labels words: a run or an export of token classification. */
export const labelsWords = (model: AnyModel): model is ClassifierModel => model.kind === 'classifier' && model.problem === 'token_label';

const isOfKind = <Kind extends ClassifierInput['kind']>(
  input: ClassifierInput,
  kind: Kind,
): input is Extract<ClassifierInput, { kind: Kind }> => input.kind === kind;

/** Returns a model's input, which must be of this kind. @throws TypeError if it is not */
export function inputOf<Kind extends ClassifierInput['kind']>(
  { input }: { readonly input: ClassifierInput },
  kind: Kind,
): Extract<ClassifierInput, { kind: Kind }> {
  if (isOfKind(input, kind)) return input;
  throw new TypeError(`the model reads a batch of ${input.kind}, not of ${kind}`);
}

/** One batch, of the kind in `ClassifierModel.input`. */
export type ClassifierBatch =
  | {
      readonly kind: 'tokens';
      /** int32 [batch, tokens], padded on the right. */
      readonly ids: Node;
      /** [batch, tokens]: 1 for real tokens, 0 for padding. */
      readonly seen: Node;
      /** int32 [batch, tokens], the segment of each token; all 0 by default. */
      readonly types?: Node;
    }
  | {
      readonly kind: 'image';
      /** [batch, height, width, channels], normalized as the model's preprocessor config requires. */
      readonly pixels: Node;
    };

/** A text model without its head. */
export interface TextStates {
  /** `decoder`: a language model without the head that predicts tokens. */
  readonly of: 'encoder' | 'decoder';
  readonly modules: readonly ModuleSpec[];
  /** The last hidden states, [batch · tokens, hiddenSize]. */
  readonly states: (tracer: Tracer, batch: ClassifierBatch) => Node;
}

/**
 * `single_label`: softmax over the labels; `multi_label`: a sigmoid for each label; `regression`: one number, squared error; `token_label`:
 * softmax over the labels for each token of a text; `embedding`: no labels, a vector for each text.
 */
export const classifierProblems = ['single_label', 'multi_label', 'regression', 'token_label', 'embedding'] as const;
export type Problem = (typeof classifierProblems)[number];

/** True if targets are numbers rather than indices of labels. */
export const isNumeric = (problem: Problem): boolean => problem === 'regression' || problem === 'multi_label';

export interface ClassifierModel extends Model {
  readonly kind: 'classifier';
  readonly input: ClassifierInput;
  /** The names of the labels, in the order of the logits; one for a regression, none for vectors. */
  readonly labels: readonly string[];
  readonly problem: Problem;
  /** The modules that compute logits, none for vectors. New ones have `initial` on their weights. */
  readonly heads: readonly ModuleSpec[];
  /** Returns [batch, labels]; [batch · tokens, labels] if each token has a label; or [batch, vectorWidth], the vectors of an embedder. */
  readonly logits: (tracer: Tracer, batch: ClassifierBatch) => Node;
  /** Present on text models. */
  readonly encoder?: TextStates;
  /** Present on embedders. */
  readonly pooling?: Pooling;
}

/** Length of an embedder's vectors. */
export const vectorWidth = ({ hiddenSize, pooling }: Pick<ClassifierModel, 'hiddenSize' | 'pooling'>): number =>
  pooling?.dense?.at(-1)?.out ?? hiddenSize;

export type AnyModel = CausalModel | ClassifierModel;

/** One thing that is wrong with a config.json. */
export interface ConfigProblem {
  /**
   * `invalid`: missing or out of bounds; `contradictory`: keys that do not fit each other; `unsupported`: valid, but not supported here.
   */
  readonly kind: 'invalid' | 'contradictory' | 'unsupported';
  /** The key, and the key nested inside it. */
  readonly path: readonly string[];
  readonly message: string;
  /** The supported value that a misspelled one most likely means. */
  readonly meant?: string;
}

/** A config.json that cannot be used: the message says which key, what was found, and what is possible. */
export class ModelConfigError extends Error {
  override name = 'ModelConfigError';
  /** All problems, if the error is about keys. */
  readonly problems: readonly ConfigProblem[];

  constructor(message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.problems = problems;
  }
}
