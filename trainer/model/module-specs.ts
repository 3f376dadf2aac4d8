/** Short ways to describe the modules of a family, and the parameters that follow from them. */
import type { Window2d } from '../graph/attributes.ts';
import {
  type BatchNormSpec,
  type BiasedSpec,
  type ConvSpec,
  type ExpertsSpec,
  type Initial,
  isBatchNorm,
  type ModelPart,
  type ModuleSpec,
  type ParameterSpec,
} from './model-spec.ts';
import type { StoredForm } from './stored-form.ts';

/** Where a module stands. */
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

export interface ExpertSizes {
  readonly experts: number;
  readonly out: number;
  readonly width: number;
  /** The key of config.json that says how many experts there are. */
  readonly key: string;
  readonly forms: readonly StoredForm[];
  /** How files hold the bias, where there is one. */
  readonly biasForms?: readonly StoredForm[];
}

/** A linear layer for each expert. Each is shown, and has its rows selected, by itself. */
export function expertsSpec(name: string, place: Place, sizes: ExpertSizes): ExpertsSpec {
  const { experts, out, width, key, forms, biasForms } = sizes;
  const plain = moduleSpec(name, 'experts', place, [experts * out, width], biasForms !== undefined);
  const stacked = (spec: ParameterSpec, own: readonly StoredForm[]): ParameterSpec => ({ ...spec, stack: { experts, key, forms: own } });
  return {
    ...plain,
    kind: 'experts',
    experts,
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
