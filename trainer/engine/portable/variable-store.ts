/** The variables of a session: one tfjs tensor each. A write replaces the tensor, so that values read before do not change. */
import { keep, reshape, type Tensor } from '@tensorflow/tfjs-core';
import type { VariableSpec } from '../../graph/graph.ts';
import { EngineError } from '../engine.ts';

export class VariableStore {
  private readonly specs: ReadonlyMap<string, VariableSpec>;
  private readonly tensors = new Map<string, Tensor>();

  constructor(specs: readonly VariableSpec[]) {
    this.specs = new Map(specs.map(spec => [spec.name, spec]));
  }

  /** Returns the spec. @throws EngineError if the program has no such variable */
  spec(name: string): VariableSpec {
    const spec = this.specs.get(name);
    if (!spec) throw new EngineError(`the program has no variable ${name}; it has ${[...this.specs.keys()].join(', ') || 'none'}`);
    return spec;
  }

  /** Returns the current tensor itself, not a copy. @throws EngineError if nothing was loaded into it */
  get(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new EngineError(`variable ${this.spec(name).name} is read before anything was loaded into it: call load() first`);
    return tensor;
  }

  /** Takes over `value` (its data is shared; the caller may dispose of its own handle) and frees the previous tensor. */
  set(name: string, value: Tensor): void {
    const { shape } = this.spec(name);
    const kept = keep(reshape(value, [...shape]));
    this.tensors.get(name)?.dispose();
    this.tensors.set(name, kept);
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
    this.tensors.clear();
  }
}
