/** The rest of the trainer's view of a model: its parameters, its modules, and how to trace it into a graph. */

import type { Node } from '../graph/graph.ts';
import type { AttentionMask } from './layer/attention.ts';
import type { ModuleSpec, ParameterSpec } from './module-specs.ts';
import type { Tracer } from './tracer.ts';

/** The parts of any model that methods, targets, weights, adapters, memory and coverage need. */
export interface Model {
  readonly family: string;
  /** A sentence on what of the files is not loaded. */
  readonly remark?: string;
  readonly blocks: number;
  readonly hiddenSize: number;
  /** Every tensor that the model computes with (a tied head is not listed twice). */
  readonly parameters: readonly ParameterSpec[];
  /** Everything that can be trained, in the order of the forward pass. */
  readonly modules: readonly ModuleSpec[];
}

/** The tokens of one batch, and where to look. */
export interface TokenInputs {
  /** int32 [batch, tokens]. */
  readonly ids: Node;
  readonly mask: AttentionMask;
  /** int32 [batch, tokens]; left out, a sequence counts from 0. */
  readonly positions?: Node;
  /** int32 [1, 1]: tokens of the whole text, with `positions` of a part of it; left out, that of the highest position. */
  readonly length?: Node;
  /** [batch, tokens]: 1 where there is a token, 0 where a text is filled up. Left out, what fills a text up stands behind it, where nothing reads it. */
  readonly seen?: Node;
  /** Lets a decoder put keys [batch, kvHeads, tokens, headDim] and values [batch, kvHeads, tokens, valueDim] into a cache and attend to all of it. */
  readonly cache?: (layer: number, k: Node, v: Node) => { readonly k: Node; readonly v: Node };
  /** With `cache`, lets blocks with a recurrent state continue a text; left out, `positions` say where in a row a text begins. */
  readonly states?: StateCache;
}

/** The shape of a block's recurrent state. */
export interface StateShape {
  /** The last tokens, [tokens, channels]. */
  readonly recent: readonly [tokens: number, channels: number];
  /** [heads, keyDim, valueDim]; left out of a block that remembers the last tokens alone. */
  readonly memory?: readonly [heads: number, keyDim: number, valueDim: number];
}

/** The state of one block, each part with [batch] in front of its shape; `memory` is there where its shape is. */
export interface LayerState {
  readonly recent: Node;
  readonly memory?: Node | undefined;
}

export interface StateCache {
  /** int32 [batch]: the tokens of each text among those that are read. What stands behind them fills the row up, and changes no state. */
  readonly counts: Node;
  /** Returns the state before these tokens, which is 0 where a text begins. */
  readonly read: (layer: number) => LayerState;
  /** Keeps the state behind these tokens. */
  readonly write: (layer: number, state: LayerState) => void;
}

/** The keys and values of one block. */
export interface KeyValueShape {
  /** Neighboring heads share keys and values. */
  readonly kvHeads: number;
  /** The features of a key, and of a value where that has no other number. */
  readonly headDim: number;
  readonly valueDim?: number | undefined;
}

export interface CausalModel extends Model {
  readonly kind: 'causal';
  /** Whether it can be given a head for whole texts: there is a class with one. */
  readonly takesScoreHead?: boolean;
  /** Set where tokens also see those behind them, so that no next token can be predicted. */
  readonly seesBothWays?: boolean;
  /** Set where files of its class hold no head. */
  readonly lacksHead?: boolean;
  readonly vocabularySize: number;
  readonly maxPositions: number;
  /** The keys and values that each block caches; undefined for a block that caches none. */
  readonly keyValues: readonly (KeyValueShape | undefined)[];
  /** The states of blocks that have one, by their number; left out where none has. They hold for the last token alone: no earlier one can be gone back to. */
  readonly states?: ReadonlyMap<number, StateShape> | undefined;
  /** The module that gives logits: the output head, or the embedding it is tied to. */
  readonly head: ModuleSpec;
  /** Soft cap of the logits that the head gives: see `headLogits`. */
  readonly logitCap?: number | undefined;
  /**
   * Longer texts than this are turned otherwise, so that an inference has to know the length of the whole text; `isReread`: what is cached
   * of a shorter text is then of no use.
   */
  readonly turning?: { readonly length: number; readonly isReread: boolean } | undefined;
  /** Final hidden states, [batch · tokens, hiddenSize]. */
  readonly hidden: (tracer: Tracer, inputs: TokenInputs) => Node;
}

/** The input of a classifier. */
export type ClassifierInput =
  | {
      readonly kind: 'tokens';
      readonly vocabularySize: number;
      readonly maxPositions: number;
      readonly padId: number;
      /** Kinds of segments that the model tells apart; 0 or 1: none, and no `types` are fed. */
      readonly tokenTypes: number;
    }
  | {
      readonly kind: 'image';
      readonly height: number;
      readonly width: number;
      readonly channels: number;
      /** Height and width can be chosen (`ModelOptions.imageSize`); others have a size of their own. */
      readonly resizable: boolean;
    };

/** Whether a model looks at images of this height and width. */
export const takesSize = ({ resizable, height, width }: Extract<ClassifierInput, { kind: 'image' }>, size: number): boolean =>
  resizable || (height === size && width === size);

/** The height and width that were chosen for a model that takes images of any size; undefined for others. */
export const chosenSize = (input: ClassifierInput): readonly [number, number] | undefined =>
  input.kind === 'image' && input.resizable ? [input.height, input.width] : undefined;

/** Returns whether a model predicts the next token. */
export const isCausal = (model: Model): model is CausalModel => 'kind' in model && model.kind === 'causal';

/** Whether a model gives a text, or a pair of texts, one number. */
export const scoresTexts = (model: AnyModel): model is ClassifierModel =>
  model.kind === 'classifier' && model.input.kind === 'tokens' && model.problem === 'regression';

const isOfKind = <Kind extends ClassifierInput['kind']>(
  input: ClassifierInput,
  kind: Kind,
): input is Extract<ClassifierInput, { kind: Kind }> => input.kind === kind;

/** Returns what a model reads, which must be of this kind. @throws TypeError if it is of another */
export function inputOf<Kind extends ClassifierInput['kind']>(
  { input }: { readonly input: ClassifierInput },
  kind: Kind,
): Extract<ClassifierInput, { kind: Kind }> {
  if (isOfKind(input, kind)) return input;
  throw new TypeError(`the model reads a batch of ${input.kind}, not of ${kind}`);
}

/** One batch, of the kind that `ClassifierModel.input` names. */
export type ClassifierBatch =
  | {
      readonly kind: 'tokens';
      /** int32 [batch, tokens], filled up at the right. */
      readonly ids: Node;
      /** [batch, tokens]: 1 where there is a token, 0 where it is filled up. */
      readonly seen: Node;
      /** int32 [batch, tokens], the segment of each token; left out, all are 0. */
      readonly types?: Node;
    }
  | {
      readonly kind: 'image';
      /** [batch, height, width, channels], normalized as the model's preprocessor says. */
      readonly pixels: Node;
    };

/** How the states of a text's tokens become its vector, as the modules Pooling and Normalize of sentence-transformers. */
export interface Pooling {
  /** `cls` is the first token. */
  readonly mode: PoolingMode;
  /** Layers that the pooled state passes through, in their order. */
  readonly dense?: readonly DenseLayer[] | undefined;
  /** Whether the vector is brought to length 1. */
  readonly normalize: boolean;
  /** The words that are written before texts, before they are tokenized. */
  readonly prompts?: Prompts | undefined;
}

/** A linear layer behind the pooling, the module Dense of sentence-transformers. */
export interface DenseLayer {
  /** Its folder in that of the model, for example `2_Dense`. */
  readonly at: string;
  readonly width: number;
  readonly out: number;
  readonly biased: boolean;
}

/** The words before the text that is searched for, and before those that are searched. */
export interface Prompts {
  readonly query?: string | undefined;
  readonly document?: string | undefined;
}

export const poolingModes = ['mean', 'cls', 'max', 'lasttoken'] as const;
export type PoolingMode = (typeof poolingModes)[number];

/** A model of text below its head. */
export interface TextStates {
  /** `decoder`: a language model, without the head that predicts tokens. */
  readonly of: 'encoder' | 'decoder';
  readonly modules: readonly ModuleSpec[];
  /** The last hidden states, [batch · tokens, hiddenSize]. */
  readonly states: (tracer: Tracer, batch: ClassifierBatch) => Node;
}

/**
 * `single_label`: softmax over the labels; `multi_label`: a sigmoid for each label; `regression`: one number, squared error; `token_label`: softmax over the labels for each token
 * of a text; `embedding`: no labels, but a vector for each text.
 */
export const classifierProblems = ['single_label', 'multi_label', 'regression', 'token_label', 'embedding'] as const;
export type Problem = (typeof classifierProblems)[number];

/** Whether targets are numbers, not places of labels. */
export const isNumeric = (problem: Problem): boolean => problem === 'regression' || problem === 'multi_label';

export interface ClassifierModel extends Model {
  readonly kind: 'classifier';
  readonly input: ClassifierInput;
  /** Their names, in the order of the logits; one for a regression, none for vectors. */
  readonly labels: readonly string[];
  readonly problem: Problem;
  /** The modules that give logits, none for vectors. New ones have `initial` on their weights. */
  readonly heads: readonly ModuleSpec[];
  /** [batch, labels]; [batch · tokens, labels] where each token has a label; [batch, vectorWidth], the vectors of an embedder. */
  readonly logits: (tracer: Tracer, batch: ClassifierBatch) => Node;
  /** Present on models of text. */
  readonly encoder?: TextStates;
  /** Present on embedders. */
  readonly pooling?: Pooling;
}

/** Numbers of a vector of an embedder. */
export const vectorWidth = ({ hiddenSize, pooling }: Pick<ClassifierModel, 'hiddenSize' | 'pooling'>): number =>
  pooling?.dense?.at(-1)?.out ?? hiddenSize;

export type AnyModel = CausalModel | ClassifierModel;

/** One thing that is wrong with a config.json. */
export interface ConfigProblem {
  /** `invalid`: missing or out of bounds; `contradictory`: keys that do not fit each other; `unsupported`: right, and not computed here. */
  readonly kind: 'invalid' | 'contradictory' | 'unsupported';
  /** The key, and the one inside it. */
  readonly path: readonly string[];
  readonly message: string;
}

/** A config.json that cannot be used: which key, what was found, what is possible. */
export class ModelConfigError extends Error {
  override name = 'ModelConfigError';
  /** All of them, where the error is about keys. */
  readonly problems: readonly ConfigProblem[];

  constructor(message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.problems = problems;
  }
}
