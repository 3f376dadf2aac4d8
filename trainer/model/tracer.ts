/** The one seam between models and methods: every layer that has neurons is built here, and a method may change it here. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { dimensions } from '../graph/types.ts';
import { batchNorm, frozenBatchNorm } from './layer/batch-norm.ts';
import { dropoutMask, uniform } from './layer/dropout.ts';
import { layerNorm, rmsNorm } from './layer/norm.ts';
import { responseNorm } from './layer/response-norm.ts';
import type { BatchNormSpec, BiasedSpec, ConvSpec, ExpertsSpec, ModuleSpec, ParameterSpec } from './module-specs.ts';
import { type ComputeType, FLOAT32_STORAGE, type WeightStorage } from './weight-storage.ts';

/** The values that pass through a module, for importance and coverage. */
export interface ModuleTap {
  /** Rows [rows, in] of a linear layer, ids [rows] of an embedding, [batch, height, width, channels] of a convolution. */
  readonly x: Node;
  readonly y: Node;
  /** How many of the last rows of x and y belong to no sample (positions, which all samples share). The others are sample by sample. */
  readonly shared: number;
  /** The expert of each row of y, int32 [assignments]; row t of y comes from row ⌊t · rows / assignments⌋ of x. */
  readonly experts?: Node;
  /** The part of y that the module adds to its own product, in the shape of the parameter; left out where there is none. */
  readonly bias?: Node;
}

/** A method's say in the forward pass of a linear layer, of experts (`ids`: the expert of each row of y) or of a convolution: `y` is the output of the frozen layer. */
export type LinearHook = (tracer: Tracer, module: ModuleSpec, x: Node, y: Node, ids?: Node) => Node;

/** `frozen`: running statistics normalize and stay. `updated`: those of the batch normalize, and the running ones follow them. */
export type BatchNormMode = 'frozen' | 'updated';

export interface TracerParams {
  readonly graph: Graph;
  readonly linearHook?: LinearHook;
  /** Called as soon as a module has its output: what is built here runs there, so that nothing is kept for it. */
  readonly onTap?: (module: ModuleSpec, tap: ModuleTap) => void;
  /** int32[2]; dropout is on where it is given. */
  readonly seed?: Node;
  /** `frozen` where not given, which is what evaluation needs. */
  readonly batchNorm?: BatchNormMode;
  /** How weights are held and what products are computed in; float32 where not given. */
  readonly storage?: WeightStorage;
  /** By the weight's name, the variable with the columns of a linear layer that a step trains in place. */
  readonly trainedColumns?: ReadonlyMap<string, VariableSpec>;
  /** See `Tracer.longest`. */
  readonly longest?: number;
}

/** The model's own dropout starts its streams here; those below are the methods'. */
const FIRST_STREAM = 2 ** 20;

export class Tracer {
  readonly graph: Graph;
  readonly seed: Node | undefined;
  /**
   * The longest text, in tokens, of a trace whose steps hold for every text up to it: another length changes sizes and how far its tables are
   * read, no step. Left out, a trace is for one length, which may take shortcuts.
   */
  readonly longest: number | undefined;
  /** The taps of each module by its name, one for each of its uses: blocks that share weights use one several times. */
  private readonly taps = new Map<string, readonly ModuleTap[]>();
  /** New values of buffers, to be assigned when the step is over. */
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
  }

  /** Whether this is a step of training. Otherwise somebody may look at what passes through the modules. */
  get trains(): boolean {
    return this.seed !== undefined;
  }

  /** A parameter in float32, however it is held. */
  parameter(spec: ParameterSpec): Node {
    return this.graph.cast(this.storage.weight(this.graph, spec), 'float32');
  }

  /** A weight in the element type that products are computed in. */
  factor(spec: ParameterSpec): Node {
    return this.graph.cast(this.storage.weight(this.graph, spec), this.compute);
  }

  /** The element type of products. */
  get compute(): ComputeType {
    return this.storage.compute;
  }

  /** The element type that products with this weight are computed in, and those that a method adds to them. */
  computeOf(spec: ParameterSpec): ComputeType {
    return this.storage.computeOf(spec);
  }

  /** Whether one kernel of the device computes attention, where that has the form. */
  get fusesAttention(): boolean {
    return this.storage.fusesAttention;
  }

  /**
   * Has the backward pass keep this tensor in place of the product that it is a cheap form of, in the element type of products.
   * @param isShared whether other blocks read it too: then it is kept at every level of recomputation
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

  /** x [rows, in], and the expert of each assignment, int32 [assignments], a multiple of the rows → [assignments, out]. */
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

  /** x [batch, height, width, in], in float32 or in what products are computed in, → [batch, height, width, out]. */
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
    const weight = this.parameter(module.weight);
    const y = rmsNorm(graph, { x, scale: module.offset ? graph.add(weight, module.offset) : weight, epsilon });
    this.tap(module, { x, y, shared: 0 });
    return y;
  }

  layerNorm(module: ModuleSpec, x: Node, epsilon: number, shared = 0): Node {
    const shift = module.bias && this.parameter(module.bias);
    const y = layerNorm(this.graph, { x, scale: this.parameter(module.weight), shift, epsilon });
    this.tap(module, { x, y, shared, bias: shift });
    return y;
  }

  /**
   * Over the channels of x [batch, height, width, channels].
   * @param momentum the weight of a batch's own statistics in the running ones
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

  /** The taps of a module so far, one for each of its uses. */
  tapsOf({ name }: Pick<ModuleSpec, 'name'>): readonly ModuleTap[] {
    return this.taps.get(name) ?? [];
  }

  /**
   * The stream of random numbers of a method's hook, which is another at each use of its module.
   * @param place of the module among `count` that the method tunes
   */
  hookStream(module: ModuleSpec, place: number, count: number): number {
    return place + (this.tapsOf(module).length - 1) * count;
  }

  private tap(module: ModuleSpec, tap: ModuleTap): void {
    this.taps.set(module.name, [...this.tapsOf(module), tap]);
    this.onTap?.(module, tap);
  }

  /** x with elements dropped at this rate, where the trace is one of training. */
  dropout(x: Node, rate: number): Node {
    const mask = this.dropoutMask(rate);
    return mask ? this.graph.mul(x, mask(x.shape)) : x;
  }

  /** x [batch · positions, channels] with what its norm over the positions of each image adds to it. */
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

  /** y = x · scale, feature by feature: the scale of what a layer adds to the stream (Touvron et al. 2021). */
  scale(module: ModuleSpec, x: Node): Node {
    const y = this.graph.mul(x, this.parameter(module.weight));
    this.tap(module, { x, y, shared: 0 });
    return y;
  }

  /** Leaves out x [batch · positions, features] of whole samples at this rate, where the trace is one of training (Huang et al. 2016). */
  dropPath(x: Node, rate: number, batch: number): Node {
    const mask = this.dropoutMask(rate);
    if (!mask) return x;
    const [rows, features] = dimensions(x.shape, 2);
    const { graph } = this;
    return graph.reshape(graph.mul(graph.reshape(x, [batch, rows / batch, features]), mask([batch, 1, 1])), [rows, features]);
  }

  /** Numbers between 0 and 1, [count, 1], where the trace is one of training. */
  uniform(count: number): Node | undefined {
    const { graph, seed } = this;
    return seed && uniform(graph, count, { seed, stream: this.streams++ });
  }

  /** Gives masks (0, or 1 / (1 − rate)) of any shape, each from a stream of its own; undefined where nothing is dropped. */
  dropoutMask(rate: number): ((shape: readonly number[]) => Node) | undefined {
    const { graph, seed } = this;
    return seed && rate > 0 ? shape => dropoutMask(graph, shape, { rate, seed, stream: this.streams++ }) : undefined;
  }
}
