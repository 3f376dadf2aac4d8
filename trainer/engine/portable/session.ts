/** Interprets the signatures of a program operation by operation, and frees each tensor as soon as its last reader has run. */

import { reshape, type Tensor, tidy, zeros } from '@tensorflow/tfjs-core';
import type { OpName } from '../../graph/attributes.ts';
import { roundsResult } from '../../graph/exact.ts';
import type { Node } from '../../graph/graph.ts';
import type { Program, Signature } from '../../graph/program.ts';
import type { HostArray } from '../../graph/types.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError, type Session, type VariableData } from '../engine.ts';
import type { OpenBackend } from './backend.ts';
import { checkHostArray, download, storedType, upload } from './host-array.ts';
import type { HostKernel, KernelCall } from './kernel.ts';
import { kernelOf } from './kernel-table.ts';
import { roundToBfloat16 } from './kernels/bfloat16.ts';
import { releasePlan } from './release-plan.ts';
import { withBackend } from './turn.ts';
import { VariableStore } from './variable-store.ts';

interface Compiled {
  readonly signature: Signature;
  readonly release: readonly (readonly Node[])[];
}

type Feeds = Readonly<Record<string, HostArray>>;

export class PortableSession implements Session {
  private readonly backend: OpenBackend;
  private readonly variables: VariableStore;
  private readonly compiled: ReadonlyMap<string, Compiled>;

  constructor(program: Program, backend: OpenBackend) {
    this.backend = backend;
    this.variables = new VariableStore(program.variables);
    this.compiled = new Map(
      Object.entries(program.signatures).map(([name, signature]) => [name, { signature, release: releasePlan(signature) }]),
    );
  }

  async load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void> {
    for await (const { name, data } of values) {
      const spec = this.variables.spec(name);
      await withBackend(this.backend.name, async () => {
        const value = data === 'zeros' ? zeros([...spec.shape], storedType(spec.dtype)) : upload(data, spec, `variable ${name}`);
        this.variables.set(name, value);
        value.dispose();
      });
    }
  }

  read(variable: string): Promise<HostArray> {
    return withBackend(this.backend.name, () => download(this.variables.get(variable), this.variables.spec(variable).dtype));
  }

  async readAll(variables: readonly string[]): Promise<HostArray[]> {
    const values: HostArray[] = [];
    for (const variable of variables) values.push(await this.read(variable));
    return values;
  }

  async run(name: string, feeds: Feeds): Promise<Record<string, HostArray>> {
    const compiled = this.compiled.get(name);
    if (!compiled) throw new EngineError(`the program has no signature ${name}; it has ${[...this.compiled.keys()].join(', ')}`);
    for (const feed of compiled.signature.feeds)
      checkHostArray(feeds[feed.attrs.name], feed.attrs.spec, `${name}: feed ${feed.attrs.name}`);
    return withBackend(this.backend.name, () => this.interpret(compiled, feeds));
  }

  async dispose(): Promise<void> {
    await withBackend(this.backend.name, async () => this.variables.dispose());
  }

  private async interpret({ signature, release }: Compiled, feeds: Feeds): Promise<Record<string, HostArray>> {
    const values = new Map<Node, Tensor>();
    try {
      for (const [at, node] of signature.schedule.entries()) {
        values.set(node, await this.compute(node, values, feeds));
        for (const dead of release[at] ?? []) {
          values.get(dead)?.dispose();
          values.delete(dead);
        }
      }
      const results: Record<string, HostArray> = {};
      for (const [name, node] of Object.entries(signature.outputs)) results[name] = await download(valueFor(values, node), node.dtype);
      const fault = this.backend.takeFault();
      if (fault) throw new EngineError(`the ${this.backend.name} device failed: ${fault}`);
      return results;
    } finally {
      for (const value of values.values()) value.dispose();
    }
  }

  private async compute(node: Node, values: ReadonlyMap<Node, Tensor>, feeds: Feeds): Promise<Tensor> {
    const inputs = node.inputs.map(input => valueFor(values, input));
    const kernel = kernelOf(node.op);
    try {
      if ('host' in kernel) return await computeOnHost(kernel, node, inputs);
      const call: KernelCall<OpName> = { inputs, attrs: node.attrs, variables: this.variables, feeds };
      const guides = 'guided' in kernel ? await downloadInputs(node, inputs, kernel.guides) : [];
      return tidy(() => {
        const result = 'guided' in kernel ? kernel.guided(call, guides) : kernel.device(call);
        const rounded = roundsResult(node) ? roundToBfloat16(result) : result;
        // A separate handle, so that each node's tensor can be freed individually. The data is shared: tfjs's `clone` would copy it under
        // wasm.
        return inputs.includes(rounded) || node.op === 'read' ? reshape(rounded, rounded.shape) : rounded;
      });
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError(`${node.op} (node ${node.id}, ${this.backend.name} backend): ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

async function computeOnHost(kernel: HostKernel<OpName>, node: Node, inputs: readonly Tensor[]): Promise<Tensor> {
  return upload(kernel.host(await downloadInputs(node, inputs, [...inputs.keys()]), node.attrs), node, node.op);
}

/** Downloads the listed inputs that exist. */
const downloadInputs = (node: Node, inputs: readonly Tensor[], which: readonly number[]): Promise<HostArray[]> =>
  Promise.all(which.flatMap(i => (inputs[i] ? [download(inputs[i], elementAt(node.inputs, i).dtype)] : [])));
