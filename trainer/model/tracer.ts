/** The one seam between models and methods: every layer that has neurons is built here, and a method may change it here. */
import type { Graph, Node } from '../graph/graph.ts';
import { layerNorm, rmsNorm } from './layer/norm.ts';
import type { ModuleSpec, ParameterSpec } from './model-spec.ts';

/** What passes through a module, for importance and coverage. */
export interface ModuleTap {
  readonly x: Node;
  readonly y: Node;
}

/** A method's say in the forward pass of a linear layer: `y` is what the frozen layer gives. */
export type LinearHook = (tracer: Tracer, module: ModuleSpec, x: Node, y: Node) => Node;

export interface TracerParams {
  readonly graph: Graph;
  readonly linearHook?: LinearHook;
  /** int32[2]; dropout is on where it is given. */
  readonly seed?: Node;
}

export class Tracer {
  readonly graph: Graph;
  readonly seed: Node | undefined;
  readonly taps = new Map<string, ModuleTap>();
  private readonly linearHook: LinearHook | undefined;

  constructor(params: TracerParams) {
    this.graph = params.graph;
    this.seed = params.seed;
    this.linearHook = params.linearHook;
  }

  parameter(spec: ParameterSpec): Node {
    return this.graph.read({ name: spec.name, shape: spec.shape, dtype: 'float32' });
  }

  /** x [rows, in] → x·Wᵀ + b [rows, out]. */
  linear(module: ModuleSpec, x: Node): Node {
    const { graph } = this;
    const product = graph.matmul(x, this.parameter(module.weight), { transposeB: true });
    const y = module.bias ? graph.add(product, this.parameter(module.bias)) : product;
    this.taps.set(module.name, { x, y });
    return this.linearHook ? this.linearHook(this, module, x, y) : y;
  }

  rmsNorm(module: ModuleSpec, x: Node, epsilon: number): Node {
    const y = rmsNorm(this.graph, { x, scale: this.parameter(module.weight), epsilon });
    this.taps.set(module.name, { x, y });
    return y;
  }

  layerNorm(module: ModuleSpec & { readonly bias: ParameterSpec }, x: Node, epsilon: number): Node {
    const y = layerNorm(this.graph, { x, scale: this.parameter(module.weight), shift: this.parameter(module.bias), epsilon });
    this.taps.set(module.name, { x, y });
    return y;
  }

  /** ids int32 [rows] → [rows, features]. */
  embedding(module: ModuleSpec, ids: Node): Node {
    const y = this.graph.gather(this.parameter(module.weight), ids);
    this.taps.set(module.name, { x: ids, y });
    return y;
  }
}
