/** The modules and parameters of a model as data, and helpers to describe those of a family. */
import type { Window2d } from '../graph/attributes.ts';

/**
 * The initial values of a parameter that is not in the weight file. Drawn from the seed and the parameter's name, so they are reproducible.
 */
export type Initial = { readonly kind: 'zeros' | 'ones' } | { readonly kind: 'normal'; readonly std: number; readonly seed: number };

/** One tensor of the model, with its name and layout in the weight file. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** State without a gradient, such as running statistics of batch norm. */
  readonly buffer?: true;
  /** Always stored, multiplied and written to merged exports in float32, whatever the type of the other parameters. */
  readonly float32?: true;
  /** Set if the parameter is not read from the weight file: a replaced head, or one that the file never had. */
  readonly initial?: Initial;
  /** Returns the values of a buffer that files may lack. */
  readonly usual?: () => Float32Array;
  /** Set on a stack of experts, or of heads: all matrices one below the other, which files store in other forms. */
  readonly stack?: Stack;
}

/** The part of a model that `freeze` names. */
export type ModelPart = 'attention' | 'mlp' | 'router' | 'convolution' | 'norm' | 'embedding' | 'head';

/** A named run of neighboring rows of a weight. */
export interface RowSection {
  readonly name: string;
  readonly rows: number;
}

/**
 * How many neighboring rows form one head (queries, keys, values), or how many neighboring columns read one head (the output of attention).
 */
export type HeadSize = { readonly rows: number } | { readonly columns: number };

/** A layer with neurons: row i of its weight, and entry i of its bias, are neuron i. */
export interface ModuleSpec {
  /** For example `model.layers.3.mlp.up_proj`. */
  readonly name: string;
  /** `parameter`: a tensor that is used directly (class token, position table); it has one row and no tap. */
  readonly kind: 'linear' | 'experts' | 'norm' | 'embedding' | 'conv' | 'parameter';
  readonly part: ModelPart;
  /** Index of its block; −1 outside the blocks. */
  readonly layer: number;
  readonly weight: ParameterSpec;
  readonly bias?: ParameterSpec;
  /**
   * Runs of rows that other families store as separate layers (queries, keys and values in one matrix), in order. Each is shown, and has
   * its rows selected, as a layer of its own.
   */
  readonly sections?: readonly RowSection[];
  /** The size of an attention head; undefined for layers without heads. */
  readonly head?: HeadSize;
  /** Added to a norm's weight before it scales (Gemma stores the difference from 1). */
  readonly offset?: number;
  /** Set on a norm that weight decay applies to, as Transformers' Trainer does for modules it does not recognize as norms. */
  readonly decays?: true;
  /** The row of an embedding that gets no gradient (`padding_idx` in PyTorch). */
  readonly paddingRow?: number;
  /** Set if PEFT refuses low-rank factors of the module, because kernels read its weight without calling the layer. */
  readonly lacksPeftFactors?: true;
  /** The module's name in memory in Transformers 5, if files use another. */
  readonly inMemory?: string;
}

/** One linear layer per expert: their weights [out, in] one below the other, so that row i is output i mod out of expert ⌊i / out⌋. */
export interface ExpertsSpec extends ModuleSpec {
  readonly kind: 'experts';
  readonly experts: number;
  readonly fused: FusedRows;
}

/**
 * The rows that a projection of all experts takes in memory in Transformers 5: of a parameter with `every` rows per expert, from row
 * `begin` on.
 */
export interface FusedRows {
  /** For example `model.layers.0.mlp.experts`. */
  readonly module: string;
  readonly parameter: string;
  readonly every: number;
  readonly begin: number;
}

export const isConv = (module: ModuleSpec): module is ConvSpec => module.kind === 'conv';

export const isExperts = (module: ModuleSpec): module is ExpertsSpec => module.kind === 'experts';

/** Number of experts of a stack; otherwise 1. */
export const expertsOf = (module: ModuleSpec): number => (isExperts(module) ? module.experts : 1);

export interface BiasedSpec extends ModuleSpec {
  readonly bias: ParameterSpec;
}

/** A convolution: weight [out, in / groups, kh, kw], so that a row is an output channel. */
export interface ConvSpec extends ModuleSpec {
  readonly kind: 'conv';
  readonly window: Window2d & { readonly groups: number };
}

export interface BatchNormSpec extends BiasedSpec {
  readonly kind: 'norm';
  /** Running mean and variance, both buffers [channels]. */
  readonly mean: ParameterSpec;
  readonly variance: ParameterSpec;
}

/** True for a batch norm: other norms have no running statistics. */
export const isBatchNorm = (module: ModuleSpec): module is BatchNormSpec => 'mean' in module;

/**
 * The forms that a file may use for a parameter [experts · rows, width], or for a bias [experts · rows].
 * - separate: one tensor per expert
 * - rows: one tensor [experts, every, width], of which each expert takes the rows from `begin` on
 * - transposed: one tensor [experts, width, every], of which each expert takes the columns from `begin` on; all of them by default
 * - matrix: one tensor [width, rows], even if both are equal, for a parameter that is not a stack
 * - interleaved: two tensors [experts, rows / 2, width] whose rows alternate
 * - runs: each matrix consists of rows from several tensors, one run after the other
 * - slice: one tensor [every, width], of which a parameter that is not a stack takes the rows from `begin` on
 * - heads: two tensors, the first `keyRows` rows of each matrix transposed [experts, width, keyRows], and the others [experts, rest, width]
 * - mxfp4: blocks of four-bit numbers [experts, rows, width / 32, 16], each with a scale
 */
export type StoredForm =
  | { readonly kind: 'separate'; readonly names: readonly string[] }
  | { readonly kind: 'rows'; readonly name: string; readonly every: number; readonly begin: number }
  | { readonly kind: 'transposed'; readonly name: string; readonly every?: number; readonly begin?: number }
  | { readonly kind: 'matrix'; readonly name: string }
  | { readonly kind: 'interleaved'; readonly names: readonly [string, string] }
  | { readonly kind: 'runs'; readonly parts: readonly RowRun[] }
  | { readonly kind: 'slice'; readonly name: string; readonly every: number; readonly begin: number }
  | { readonly kind: 'heads'; readonly keys: string; readonly values: string; readonly keyRows: number }
  | { readonly kind: 'mxfp4'; readonly blocks: string; readonly scales: string };

/**
 * A run of rows of a tensor, equally many for each matrix of a stack: the first matrix takes those from `begin` on, the next one the rows
 * after them.
 */
export interface RowRun {
  readonly name: string;
  readonly begin: number;
  readonly rows: number;
}

export interface Stack {
  readonly experts: number;
  /** The key of config.json that gives their number, if there is one. */
  readonly key?: string;
  /** The possible forms; the first one whose tensors are in the file is used. */
  readonly forms: readonly StoredForm[];
}

/** The part and block of a module. */
export interface Place {
  readonly part: ModelPart;
  /** Index of its block; −1 outside the blocks. */
  readonly layer: number;
}

/** A module with the weight `<name>.weight` [rows, …] and an optional bias [rows]. */
export function moduleSpec(
  name: string,
  kind: ModuleSpec['kind'],
  { part, layer }: Place,
  shape: readonly number[],
  biased = false,
): ModuleSpec {
  const weight: ParameterSpec = { name: `${name}.weight`, shape };
  const plain = { name, kind, part, layer, weight };
  return biased ? { ...plain, bias: biasOf(name, shape) } : plain;
}

const biasOf = (name: string, shape: readonly number[]): ParameterSpec => ({ name: `${name}.bias`, shape: [shape[0] as number] });

export const linearSpec = (name: string, place: Place, out: number, width: number, biased = true): ModuleSpec =>
  moduleSpec(name, 'linear', place, [out, width], biased);

/** Returns the module with the size of its heads. */
export const withHeads = <Spec extends ModuleSpec>(module: Spec, head: HeadSize): Spec => ({ ...module, head });

/**
 * Returns the module with other forms that files may use for its weight: the rows of one or several tensors, one after the other.
 * @param forms the number of rows of each tensor, by its name without `.weight`
 */
export const inParts = (module: ModuleSpec, ...forms: readonly Readonly<Record<string, number>>[]): ModuleSpec => ({
  ...module,
  weight: { ...module.weight, stack: { experts: 1, forms: forms.map(runsOf) } },
});

/**
 * Returns the module with the names that files may use for its parameters instead. @param name of the module there; if undefined, its own
 * @param isTransposed whether files store its weight as [in, out], under each name
 */
export const underOtherName = <Spec extends ModuleSpec>(module: Spec, name: string, isTransposed: boolean): Spec =>
  inForms(module, name, (spec, other) =>
    isTransposed && spec === module.weight ? [spec.name, other].map(each => ({ kind: 'matrix', name: each })) : [asWhole(spec, other)],
  );

/** Returns the module with the names that files may give it instead. */
export const underOtherNames = <Spec extends ModuleSpec>(module: Spec, names: readonly string[]): Spec =>
  inForms(module, '', (spec, end) => names.map(name => asWhole(spec, name + end)));

/** A parameter that files store unchanged under another name. */
const asWhole = ({ shape: [rows = 1] }: ParameterSpec, name: string): StoredForm => ({ kind: 'runs', parts: [{ name, begin: 0, rows }] });

/** A tensor of a file, without its ending, or one of the equal parts into which it is divided. */
export interface FilePart {
  readonly name: string;
  /** The number of parts, 1 by default, and the index of this one. */
  readonly of?: number;
  readonly index?: number;
}

/** Returns the module with another form that files may use for its parameters: a tensor with another name, or a part of one. */
export const asPartOf = <Spec extends ModuleSpec>(module: Spec, { name, of = 1, index = 0 }: FilePart): Spec =>
  inForms(module, name, ({ shape: [rows = 1] }, other) => [{ kind: 'slice', name: other, every: of * rows, begin: index * rows }]);

/** Returns the module with other forms of its parameters. @param formsOf receives the name of each in files that name the module so */
function inForms<Spec extends ModuleSpec>(
  module: Spec,
  name: string,
  formsOf: (spec: ParameterSpec, other: string) => readonly StoredForm[],
): Spec {
  const changed = (spec: ParameterSpec): ParameterSpec => ({
    ...spec,
    stack: { experts: 1, forms: formsOf(spec, name + spec.name.slice(module.name.length)) },
  });
  const { weight, bias } = module;
  return { ...module, weight: changed(weight), ...(bias && { bias: changed(bias) }) };
}

/** True if files store the matrix as [in, out]. */
export const isTransposed = ({ stack }: ParameterSpec): boolean => stack?.forms.some(({ kind }) => kind === 'matrix') ?? false;

const runsOf = (tensors: Readonly<Record<string, number>>): StoredForm => ({
  kind: 'runs',
  parts: Object.entries(tensors).map(([name, rows]) => ({ name: `${name}.weight`, begin: 0, rows })),
});

export interface ExpertSizes {
  readonly experts: number;
  readonly out: number;
  readonly width: number;
  /** The key of config.json that gives the number of experts. */
  readonly key: string;
  readonly fused: FusedRows;
  readonly forms: readonly StoredForm[];
  /** The forms of the bias in files, if there is a bias. */
  readonly biasForms?: readonly StoredForm[];
}

/** One linear layer per expert. Each expert is shown, and has its rows selected, separately. */
export function expertsSpec(name: string, place: Place, sizes: ExpertSizes): ExpertsSpec {
  const { experts, out, width, key, fused, forms, biasForms } = sizes;
  const plain = moduleSpec(name, 'experts', place, [experts * out, width], biasForms !== undefined);
  const stacked = (spec: ParameterSpec, own: readonly StoredForm[]): ParameterSpec => ({ ...spec, stack: { experts, key, forms: own } });
  return {
    ...plain,
    kind: 'experts',
    experts,
    fused,
    weight: stacked(plain.weight, forms),
    ...(plain.bias && biasForms && { bias: stacked(plain.bias, biasForms) }),
    sections: Array.from({ length: experts }, (_, expert) => ({ name: String(expert), rows: out })),
  };
}

/** @param paddingRow see {@link ModuleSpec.paddingRow} */
export const embeddingSpec = (name: string, rows: number, width: number, paddingRow?: number): ModuleSpec => ({
  ...moduleSpec(name, 'embedding', { part: 'embedding', layer: -1 }, [rows, width]),
  ...(paddingRow !== undefined && { paddingRow }),
});

/** An RMS norm. @param offset see {@link ModuleSpec.offset} */
export const normSpec = (name: string, layer: number, width: number, offset = 0): ModuleSpec => ({
  ...moduleSpec(name, 'norm', { part: 'norm', layer }, [width]),
  ...(offset !== 0 && { offset }),
});

export function layerNormSpec(name: string, layer: number, width: number, offset = 0): BiasedSpec {
  return { ...normSpec(name, layer, width, offset), bias: biasOf(name, [width]) };
}

/** A scale for each feature of a layer's output. @param weight its full name in the file */
export const scaleSpec = (name: string, weight: string, layer: number, width: number): ModuleSpec => ({
  name,
  kind: 'norm',
  part: 'norm',
  layer,
  weight: { name: weight, shape: [width] },
  decays: true,
});

/** A tensor that is used directly; `name` is its full name in the file. */
export const parameterSpec = (name: string, shape: readonly number[]): ModuleSpec => ({
  name,
  kind: 'parameter',
  part: 'embedding',
  layer: -1,
  weight: { name, shape },
});

/** The bias of a head whose weight is the embedding. @param name of the head */
export const headBiasSpec = (name: string, rows: number): ModuleSpec => ({
  ...{ name, kind: 'parameter', part: 'head', layer: -1 },
  weight: biasOf(name, [rows]),
});

/** True for a module that is a bias alone: see {@link headBiasSpec}. */
export const isBiasAlone = ({ name, weight }: ModuleSpec): boolean => weight.name === `${name}.bias`;

/** The bias of a module, or the one that it is. */
export const ownBias = (module: ModuleSpec): ParameterSpec | undefined => module.bias ?? (isBiasAlone(module) ? module.weight : undefined);

export interface ConvSizes {
  readonly in: number;
  readonly out: number;
  readonly size: number;
  readonly stride: number;
  readonly groups?: number;
  readonly padding?: number;
  readonly biased?: boolean;
}

/** A convolution with a square window, padded equally on all sides: by default by half its size. */
export function convSpec(name: string, place: Place, sizes: ConvSizes): ConvSpec {
  const { size, stride, groups = 1, padding = Math.floor(size / 2), biased = false } = sizes;
  const shape = [sizes.out, sizes.in / groups, size, size];
  return { ...moduleSpec(name, 'conv', place, shape, biased), kind: 'conv', window: { ...squareWindow(stride, padding), groups } };
}

/** A convolution that cuts an image into patches: its stride equals its window. */
export const patchSpec = (name: string, channels: number, out: number, patch: readonly [number, number]): ConvSpec => ({
  ...moduleSpec(name, 'conv', { part: 'embedding', layer: -1 }, [out, channels, ...patch], true),
  kind: 'conv',
  window: { strides: patch, padding: [0, 0, 0, 0], dilations: [1, 1], groups: 1 },
});

export const squareWindow = (stride: number, padding: number): Window2d => ({
  strides: [stride, stride],
  padding: [padding, padding, padding, padding],
  dilations: [1, 1],
});

export function batchNormSpec(name: string, layer: number, channels: number): BatchNormSpec {
  const buffer = (end: string): ParameterSpec => ({ name: `${name}.${end}`, shape: [channels], buffer: true });
  return { ...layerNormSpec(name, layer, channels), kind: 'norm', mean: buffer('running_mean'), variance: buffer('running_var') };
}

/** Returns the module with new initial values in place of those in the file: normal with this deviation, and a zero bias. */
export function freshSpec<Spec extends ModuleSpec>(module: Spec, initial: Initial): Spec {
  const { weight, bias } = module;
  const started = { ...module, weight: { ...weight, initial } };
  return bias ? { ...started, bias: { ...bias, initial: { kind: 'zeros' } } } : started;
}

/** Every tensor of these modules, in order. */
export const parametersOf = (modules: readonly ModuleSpec[]): ParameterSpec[] =>
  modules.flatMap(module => [module.weight, ...(module.bias ? [module.bias] : []), ...buffersOf(module)]);

const buffersOf = (module: ModuleSpec): ParameterSpec[] => (isBatchNorm(module) ? [module.mean, module.variance] : []);
