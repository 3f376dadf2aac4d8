/** The one seam between models and methods: every layer with neurons is built here, and a method may change it here. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { dimensions } from '../graph/types.ts';
import { batchNorm, frozenBatchNorm } from './layer/batch-norm.ts';
import { dropoutMask, uniform } from './layer/dropout.ts';
import { layerNorm, rmsNorm } from './layer/norm.ts';
import { responseNorm } from './layer/response-norm.ts';
import type { BatchNormSpec, BiasedSpec, ConvSpec, ExpertsSpec, ModuleSpec, ParameterSpec } from './module-specs.ts';
import { type ComputeType, FLOAT32_STORAGE, type WeightStorage } from './weight-storage.ts';

/** The tensors that pass through a module, for importance and coverage. */
export interface ModuleTap {
  /** Rows [rows, in] of a linear layer, ids [rows] of an embedding, or [batch, height, width, channels] of a convolution. */
  readonly x: Node;
  readonly y: Node;
  /** How many rows at the end of x and y belong to no sample (positions, which all samples share). The other rows are sample by sample. */
  readonly shared: number;
  /** The expert of each row of y, int32 [assignments]; row t of y comes from row ⌊t · rows / assignments⌋ of x. */
  readonly experts?: Node;
  /** The bias that the module adds to its product, in the shape of the parameter; undefined without a bias. */
  readonly bias?: Node;
}

/**
 * A method's change to the forward pass of a linear layer, of experts (`ids`: the expert of each row of y) or of a convolution: `y` is the
 * output of the frozen layer.
 */
export type LinearHook = (tracer: Tracer, module: ModuleSpec, x: Node, y: Node, ids?: Node) => Node;

/** `frozen`: running statistics normalize and do not change. `updated`: those of the batch normalize, and the running ones are updated. */
export type BatchNormMode = 'frozen' | 'updated';

export interface TracerParams {
  readonly graph: Graph;
  readonly linearHook?: LinearHook;
  /** Called as soon as a module's output exists. Nodes built in this callback run at that point, so no tensor is kept for them. */
  readonly onTap?: (module: ModuleSpec, tap: ModuleTap) => void;
  /** int32 [2]; enables dropout if given. */
  readonly seed?: Node;
  /** `frozen` by default, which evaluation needs. */
  readonly batchNorm?: BatchNormMode;
  /** How weights are stored and in which type products are computed; float32 by default. */
  readonly storage?: WeightStorage;
  /** The variables with those columns of linear layers that a step trains in place, by the weight's name. */
  readonly trainedColumns?: ReadonlyMap<string, VariableSpec>;
  /** See `Tracer.longest`. */
  readonly longest?: number;
  /** See `Tracer.fillingRows`. */
  readonly fillingRows?: number | undefined;
}

/** The first stream of the model's own dropout; those below belong to methods. */
const FIRST_STREAM = 2 ** 20;

export class Tracer {
  readonly graph: Graph;
  readonly seed: Node | undefined;
  /**
   * The longest text, in tokens, if the trace must be valid for every text up to that length: the length then changes only sizes and how
   * far tables are read. If undefined, the trace is for one length and may take shortcuts.
   */
  readonly longest: number | undefined;
  /**
   * Number of rows from which a product with a large weight is limited by arithmetic on the card that computes; undefined on a processor or
   * an unknown device.
   */
  readonly fillingRows: number | undefined;
  /** The taps of each module by its name, one per use: blocks that share weights use a module several times. */
  private readonly taps = new Map<string, readonly ModuleTap[]>();
  /** New values of buffers, assigned at the end of the step. */
  readonly updates = new Map<ParameterSpec, Node>();
  private readonly storage: WeightStorage;
  private readonly linearHook: LinearHook | undefined;
  private readonly onTap: TracerParams['onTap'];
  private readonly trainedColumns: TracerParams['trainedColumns'];
  private readonly batchNormMode: BatchNormMode;
  private streams = FIRST_STREAM;

  constructor(params: TracerParams) {
    this.graph = params.graph;
    this.seed = params.seed;
    this.linearHook = params.linearHook;
    this.onTap = params.onTap;
    this.trainedColumns = params.trainedColumns;
    this.batchNormMode = params.batchNorm ?? 'frozen';
    this.storage = params.storage ?? FLOAT32_STORAGE;
    this.longest = params.longest;
    this.fillingRows = params.fillingRows;
  }

  /** True in a training step. Otherwise, the values that pass through the modules may be observed. */
  get trains(): boolean {
    return this.seed !== undefined;
  }

  /** A parameter in float32, whatever its stored form. */
  parameter(spec: ParameterSpec): Node {
    return this.graph.cast(this.storage.weight(this.graph, spec), 'float32');
  }

  /** A weight in the element type of products. */
  factor(spec: ParameterSpec): Node {
    return this.graph.cast(this.storage.weight(this.graph, spec), this.compute);
  }

  /** The element type of products. */
  get compute(): ComputeType {
    return this.storage.compute;
  }

  /** The element type of products with this weight, and of those that a method adds to them. */
  computeOf(spec: ParameterSpec): ComputeType {
    return this.storage.computeOf(spec);
  }

  /** True to compute attention with a fused kernel of the device where it supports the form. */
  get fusesAttention(): boolean {
    return this.storage.fusesAttention;
  }

  /**
   * Keeps this tensor for the backward pass, in the element type of products. It is cheap to compute from a product and is kept in place of
   * it.
   * @param isShared whether other blocks read it too; then it is kept at every recompute level
   */
  keep(x: Node, isShared = false): Node {
    const narrow = this.graph.cast(x, this.storage.compute);
    narrow.kept = true;
    if (isShared) narrow.shared = true;
    return this.graph.cast(narrow, 'float32');
  }

  /** x [rows, in] → x·Wᵀ + b [rows, out]. */
  linear(module: ModuleSpec, x: Node, shared = 0): Node {
    const { graph, storage } = this;
    const columns = this.trainedColumns?.get(module.weight.name);
    const product = storage.linear(graph, x, module.weight, columns && graph.read(columns));
    const bias = module.bias && this.parameter(module.bias);
    const y = bias ? graph.add(product, bias) : product;
    this.tap(module, { x, y, shared, bias });
    const hooked = this.linearHook ? this.linearHook(this, module, x, y) : y;
    if (hooked === y || storage.computeOf(module.weight) === 'float32') return hooked;
    hooked.kept = undefined;
    return this.keep(hooked);
  }

  /** x [rows, in], with the expert of each assignment, int32 [assignments], a multiple of the rows → [assignments, out]. */
  experts(module: ExpertsSpec, x: Node, ids: Node): Node {
    const { graph, storage } = this;
    const product = storage.experts(graph, x, module, ids);
    const { experts } = module;
    const bias = module.bias && this.parameter(module.bias);
    const ofExpert = (all: Node): Node => graph.gather(graph.reshape(all, [experts, (all.shape[0] as number) / experts]), ids);
    const y = bias ? graph.add(product, ofExpert(bias)) : product;
    this.tap(module, { x, y, shared: 0, experts: ids, bias });
    const hooked = this.linearHook ? this.linearHook(this, module, x, y, ids) : y;
    if (hooked === y || storage.compute === 'float32') return hooked;
    hooked.kept = undefined;
    return this.keep(hooked);
  }

  /** x [batch, height, width, in], in float32 or the element type of products → [batch, height, width, out]. */
  conv(module: ConvSpec, x: Node): Node {
    const { graph } = this;
    const product = graph.cast(graph.conv2d(graph.cast(x, this.compute), this.factor(module.weight), module.window), 'float32');
    const bias = module.bias && this.parameter(module.bias);
    const y = bias ? graph.add(product, bias) : product;
    const wide = graph.cast(x, 'float32');
    this.tap(module, { x: wide, y, shared: 0, bias });
    return this.linearHook ? this.linearHook(this, module, wide, y) : y;
  }

  rmsNorm(module: ModuleSpec, x: Node, epsilon: number): Node {
    const { graph } = this;
    const y = rmsNorm(graph, { x, scale: this.scaleOf(module), epsilon });
    this.tap(module, { x, y, shared: 0 });
    return y;
  }

  layerNorm(module: ModuleSpec, x: Node, epsilon: number, shared = 0): Node {
    const shift = module.bias && this.parameter(module.bias);
    const y = layerNorm(this.graph, { x, scale: this.scaleOf(module), shift, epsilon });
    this.tap(module, { x, y, shared, bias: shift });
    return y;
  }

  /** The factors of a norm's features. */
  private scaleOf({ weight, offset }: ModuleSpec): Node {
    const stored = this.parameter(weight);
    return offset ? this.graph.add(stored, offset) : stored;
  }

  /**
   * Batch norm over the channels of x [batch, height, width, channels].
   * @param momentum the weight of a batch's statistics in the running statistics
   */
  batchNorm(module: BatchNormSpec, x: Node, { epsilon, momentum }: { epsilon: number; momentum: number }): Node {
    const { graph } = this;
    const bias = this.parameter(module.bias);
    const affine = { x, scale: this.parameter(module.weight), shift: bias, epsilon };
    const [mean, variance] = [this.parameter(module.mean), this.parameter(module.variance)];
    let y: Node;
    if (this.batchNormMode === 'frozen') y = frozenBatchNorm(graph, { ...affine, mean, variance });
    else {
      const found = batchNorm(graph, affine);
      const follow = (running: Node, own: Node) => graph.add(graph.mul(running, 1 - momentum), graph.mul(own, momentum));
      this.updates.set(module.mean, follow(mean, found.mean));
      this.updates.set(module.variance, follow(variance, found.variance));
      y = found.y;
    }
    this.tap(module, { x, y, shared: 0, bias });
    return y;
  }

  /** ids int32 [rows] → [rows, features]. */
  embedding(module: ModuleSpec, ids: Node, shared = 0): Node {
    const y = this.graph.cast(this.graph.gather(this.storage.weight(this.graph, module.weight), ids, 0, module.paddingRow), 'float32');
    this.tap(module, { x: ids, y, shared });
    return y;
  }

  /** The taps of a module so far, one per use. */
  tapsOf({ name }: Pick<ModuleSpec, 'name'>): readonly ModuleTap[] {
    return this.taps.get(name) ?? [];
  }

  /**
   * The random stream of a method's hook, different for each use of its module.
   * @param place index of the module among the `count` modules that the method tunes
   */
  hookStream(module: ModuleSpec, place: number, count: number): number {
    return place + (this.tapsOf(module).length - 1) * count;
  }

  private tap(module: ModuleSpec, tap: ModuleTap): void {
    this.taps.set(module.name, [...this.tapsOf(module), tap]);
    this.onTap?.(module, tap);
  }

  /** x with elements dropped at this rate, in training traces only. */
  dropout(x: Node, rate: number): Node {
    const mask = this.dropoutMask(rate);
    return mask ? this.graph.mul(x, mask(x.shape)) : x;
  }

  /** x [batch · positions, channels] with global response normalization over the positions of each image. */
  responseNorm(module: BiasedSpec, x: Node, batch: number): Node {
    const { graph } = this;
    const [rows, channels] = dimensions(x.shape, 2);
    const image = graph.reshape(x, [batch, rows / batch, channels]);
    const bias = this.parameter(module.bias);
    const scaled = responseNorm(graph, { x: image, scale: this.parameter(module.weight), shift: bias });
    const y = graph.reshape(scaled, [rows, channels]);
    this.tap(module, { x, y, shared: 0, bias });
    return graph.add(x, y);
  }

  /**
   * y = x · scale, one scale per feature: LayerScale, applied to a layer's output before it is added to the stream (Touvron et al. 2021).
   */
  scale(module: ModuleSpec, x: Node): Node {
    const y = this.graph.mul(x, this.parameter(module.weight));
    this.tap(module, { x, y, shared: 0 });
    return y;
  }

  /** Drops whole samples of x [batch · positions, features] at this rate, in training traces only (stochastic depth, Huang et al. 2016). */
  dropPath(x: Node, rate: number, batch: number): Node {
    const mask = this.dropoutMask(rate);
    if (!mask) return x;
    const [rows, features] = dimensions(x.shape, 2);
    const { graph } = this;
    return graph.reshape(graph.mul(graph.reshape(x, [batch, rows / batch, features]), mask([batch, 1, 1])), [rows, features]);
  }

  /** Random values between 0 and 1, [count, 1], in training traces only. */
  uniform(count: number): Node | undefined {
    const { graph, seed } = this;
    return seed && uniform(graph, count, { seed, stream: this.streams++ });
  }

  /** Returns masks (0, or 1 / (1 − rate)) of any shape, each from its own stream; undefined if nothing is dropped. */
  dropoutMask(rate: number): ((shape: readonly number[]) => Node) | undefined {
    const { graph, seed } = this;
    return seed && rate > 0 ? shape => dropoutMask(graph, shape, { rate, seed, stream: this.streams++ }) : undefined;
  }
}
