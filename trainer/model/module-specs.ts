/** The modules and parameters of a model as data, and short ways to describe those of a family. */
import type { Window2d } from '../graph/attributes.ts';

/** How a parameter starts that the weight file does not hold. Drawn from the seed and the parameter's name, so it can be had again. */
export type Initial = { readonly kind: 'zeros' } | { readonly kind: 'normal'; readonly std: number; readonly seed: number };

/** One tensor of the model, by its name in the weight file and in that file's layout. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** State that no gradient reaches: running statistics of batch norm. */
  readonly buffer?: true;
  /** Held, multiplied and written to merged exports in float32, in whatever type others are. */
  readonly float32?: true;
  /** Set on what is not read from the weight file: a head that was replaced, or that the file has never had. */
  readonly initial?: Initial;
  /** A stack of experts, or of heads: the matrices of all of them one below the other, which files hold in other forms. */
  readonly stack?: Stack;
}

/** The part of a model that `freeze` names. */
export type ModelPart = 'attention' | 'mlp' | 'router' | 'convolution' | 'norm' | 'embedding' | 'head';

/** Neighboring rows of a weight. */
export interface RowSection {
  readonly name: string;
  readonly rows: number;
}

/** How many neighboring rows make one head (queries, keys, values), or how many neighboring columns read one (the output of attention). */
export type HeadSize = { readonly rows: number } | { readonly columns: number };

/** A layer with neurons: row i of its weight, and entry i of its bias, are neuron i. */
export interface ModuleSpec {
  /** For example `model.layers.3.mlp.up_proj`. */
  readonly name: string;
  /** `parameter`: a tensor that is used as it is (class token, position table): it has one row and no tap. */
  readonly kind: 'linear' | 'experts' | 'norm' | 'embedding' | 'conv' | 'parameter';
  readonly part: ModelPart;
  /** Number of the block it stands in; −1 outside the blocks. */
  readonly layer: number;
  readonly weight: ParameterSpec;
  readonly bias?: ParameterSpec;
  /**
   * Runs of rows that other families hold as layers of their own (queries, keys and values in one matrix), in their order. Each is shown,
   * and has its rows selected, as a layer of its own.
   */
  readonly sections?: readonly RowSection[];
  /** The size of a head of attention; left out of layers that have none. */
  readonly head?: HeadSize;
  /** The number that is added to a norm's weight before it scales (Gemma's norms are stored as their distance from 1). */
  readonly offset?: number;
  /** A norm that weight decay shrinks, as the Trainer of Transformers does with what it does not take for a norm. */
  readonly decays?: true;
  /** The row of an embedding that gets no gradient, wherever it is looked up (`padding_idx` of PyTorch). */
  readonly paddingRow?: number;
  /** The name that Transformers 5 has for it in memory, if files have another. */
  readonly inMemory?: string;
}

/** A linear layer for each expert: their weights [out, in] one below the other, so that row i is output i mod out of expert ⌊i / out⌋. */
export interface ExpertsSpec extends ModuleSpec {
  readonly kind: 'experts';
  readonly experts: number;
  readonly fused: FusedRows;
}

/** The place of a projection of all experts in the memory of Transformers 5: a parameter of `every` rows an expert, these from `begin` on. */
export interface FusedRows {
  /** For example `model.layers.0.mlp.experts`. */
  readonly module: string;
  readonly parameter: string;
  readonly every: number;
  readonly begin: number;
}

export const isConv = (module: ModuleSpec): module is ConvSpec => module.kind === 'conv';

export const isExperts = (module: ModuleSpec): module is ExpertsSpec => module.kind === 'experts';

/** For a stack of experts; otherwise 1. */
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

/** Running statistics tell a batch norm from other norms. */
export const isBatchNorm = (module: ModuleSpec): module is BatchNormSpec => 'mean' in module;

/**
 * The forms that a file may have in place of a parameter [experts · rows, width], or of a bias [experts · rows].
 * apart: a tensor for each expert. rows: one tensor [experts, every, width], of each expert the rows from `begin` on. turned: one tensor
 * [experts, width, rows]. woven: two tensors [experts, rows / 2, width] whose rows take turns. runs: of each matrix, rows of several tensors
 * one behind the other. mxfp4: blocks of four-bit numbers [experts, rows, width / 32, 16] with a scale each.
 */
export type StoredForm =
  | { readonly kind: 'apart'; readonly names: readonly string[] }
  | { readonly kind: 'rows'; readonly name: string; readonly every: number; readonly begin: number }
  | { readonly kind: 'turned'; readonly name: string }
  | { readonly kind: 'woven'; readonly names: readonly [string, string] }
  | { readonly kind: 'runs'; readonly parts: readonly RowRun[] }
  | { readonly kind: 'mxfp4'; readonly blocks: string; readonly scales: string };

/** Rows of a tensor, so many for each matrix of a stack: those of the first from `begin` on, then those of the next. */
export interface RowRun {
  readonly name: string;
  readonly begin: number;
  readonly rows: number;
}

export interface Stack {
  readonly experts: number;
  /** The key of config.json that says how many there are, where one does. */
  readonly key?: string;
  /** The first of which a file has a tensor counts. */
  readonly forms: readonly StoredForm[];
}

/** The place of a module. */
export interface Place {
  readonly part: ModelPart;
  /** Number of its block; −1 outside. */
  readonly layer: number;
}

/** A weight [rows, …], under `<name>.weight`; with a bias [rows] where asked for. */
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

/** The module with the size of its heads. */
export const withHeads = <Spec extends ModuleSpec>(module: Spec, head: HeadSize): Spec => ({ ...module, head });

export interface ExpertSizes {
  readonly experts: number;
  readonly out: number;
  readonly width: number;
  /** The key of config.json that says how many experts there are. */
  readonly key: string;
  readonly fused: FusedRows;
  readonly forms: readonly StoredForm[];
  /** How files hold the bias, where there is one. */
  readonly biasForms?: readonly StoredForm[];
}

/** A linear layer for each expert. Each is shown, and has its rows selected, by itself. */
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

/** A root-mean-square norm. @param offset see {@link ModuleSpec.offset} */
export const normSpec = (name: string, layer: number, width: number, offset = 0): ModuleSpec => ({
  ...moduleSpec(name, 'norm', { part: 'norm', layer }, [width]),
  ...(offset !== 0 && { offset }),
});

export function layerNormSpec(name: string, layer: number, width: number): BiasedSpec {
  return { ...moduleSpec(name, 'norm', { part: 'norm', layer }, [width]), bias: biasOf(name, [width]) };
}

/** The scale of what a layer adds, feature by feature. @param weight its whole name in the file */
export const scaleSpec = (name: string, weight: string, layer: number, width: number): ModuleSpec => ({
  name,
  kind: 'norm',
  part: 'norm',
  layer,
  weight: { name: weight, shape: [width] },
  decays: true,
});

/** A tensor that is used as it is; its name is the whole name in the file. */
export const parameterSpec = (name: string, shape: readonly number[]): ModuleSpec => ({
  name,
  kind: 'parameter',
  part: 'embedding',
  layer: -1,
  weight: { name, shape },
});

export interface ConvSizes {
  readonly in: number;
  readonly out: number;
  readonly size: number;
  readonly stride: number;
  readonly groups?: number;
  readonly padding?: number;
  readonly biased?: boolean;
}

/** A square window, padded alike on all sides: by half its size unless said otherwise. */
export function convSpec(name: string, place: Place, sizes: ConvSizes): ConvSpec {
  const { size, stride, groups = 1, padding = Math.floor(size / 2), biased = false } = sizes;
  const shape = [sizes.out, sizes.in / groups, size, size];
  return { ...moduleSpec(name, 'conv', place, shape, biased), kind: 'conv', window: { ...squareWindow(stride, padding), groups } };
}

/** A convolution that cuts an image into patches: its window is its stride. */
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

/** The module with start values of its own, in place of those in the file: normal with this deviation, and no bias. */
export function freshSpec<Spec extends ModuleSpec>(module: Spec, initial: Initial): Spec {
  const { weight, bias } = module;
  const started = { ...module, weight: { ...weight, initial } };
  return bias ? { ...started, bias: { ...bias, initial: { kind: 'zeros' } } } : started;
}

/** Every tensor of these modules, in their order. */
export const parametersOf = (modules: readonly ModuleSpec[]): ParameterSpec[] =>
  modules.flatMap(module => [module.weight, ...(module.bias ? [module.bias] : []), ...buffersOf(module)]);

const buffersOf = (module: ModuleSpec): ParameterSpec[] => (isBatchNorm(module) ? [module.mean, module.variance] : []);
