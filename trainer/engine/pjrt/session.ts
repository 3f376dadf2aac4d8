/** A program on a device: its variables stay there, and each signature is compiled when it first runs. */

import type { VariableSpec } from '../../graph/graph.ts';
import type { Program } from '../../graph/program.ts';
import type { HostArray } from '../../graph/types.ts';
import { elementAt, required, valueFor } from '../../narrow.ts';
import { EngineError, type Session, type VariableData } from '../engine.ts';
import type { Addon, BufferHandle, ClientHandle, ExecutableHandle } from './addon.ts';
import type { CompiledMemory } from './compiled-memory.ts';
import type { Compiler } from './compiler.ts';
import { checkData, download, upload } from './host-form.ts';
import { type LoweredSignature, lowerSignature } from './lower.ts';

interface CompiledSignature {
  readonly lowered: Omit<LoweredSignature, 'text' | 'operationAt'>;
  readonly executable: ExecutableHandle;
  readonly constants: readonly BufferHandle[];
}

export interface Device {
  readonly addon: Addon;
  readonly client: ClientHandle;
  readonly compiler: Compiler;
}

export class PjrtSession implements Session {
  readonly runsAhead = true;
  private readonly device: Device;
  private readonly program: Program;
  private readonly specs: ReadonlyMap<string, VariableSpec>;
  private readonly state = new Map<string, BufferHandle>();
  private readonly compiled = new Map<string, Promise<CompiledSignature>>();
  /** Constants that several signatures share, by their attributes' value. */
  private readonly constants = new Map<HostArray, Promise<BufferHandle>>();
  /** Settles when everything begun so far has started on the device. */
  private turn: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(device: Device, program: Program) {
    this.device = device;
    this.program = program;
    this.specs = new Map(program.variables.map(spec => [spec.name, spec]));
  }

  async load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void> {
    for await (const { name, data } of values) {
      const spec = this.spec(name);
      if (data !== 'zeros') checkData(data, spec, `variable ${name}`);
      const buffer = await this.upload(data, spec);
      await this.inTurn(async () => this.replace(name, buffer));
    }
  }

  async read(name: string): Promise<HostArray> {
    return this.inTurn(() => download(this.device.addon, this.variable(name), this.spec(name)));
  }

  async readAll(names: readonly string[]): Promise<HostArray[]> {
    const values: HostArray[] = [];
    for (const name of names) values.push(await this.read(name));
    return values;
  }

  async run(name: string, feeds: Readonly<Record<string, HostArray>>): Promise<Record<string, HostArray>> {
    const signature = this.program.signatures[name];
    if (!signature)
      throw new EngineError(`the program has no signature ${name}; it has ${Object.keys(this.program.signatures).join(', ')}`);
    for (const { attrs } of signature.feeds) checkData(feeds[attrs.name], attrs.spec, `${name}: feed ${attrs.name}`);
    const uploading = Promise.all(
      signature.feeds.map(async ({ attrs }) => ({
        name: attrs.name,
        buffer: await this.upload(required(feeds[attrs.name], attrs.name), attrs.spec),
      })),
    );
    // A failed upload is reported in its turn.
    uploading.catch(() => undefined);
    try {
      // The turn is taken now: uploads end in any order, and runs keep that of their calls.
      const { lowered, results } = await this.inTurn(async () =>
        this.start(name, new Map((await uploading).map(feed => [feed.name, feed.buffer]))),
      );
      try {
        const outputs: Record<string, HostArray> = {};
        for (const [i, { name: output, spec }] of lowered.outputs.entries())
          outputs[output] = await download(this.device.addon, elementAt(results, i), spec);
        return outputs;
      } finally {
        this.close(results);
      }
    } catch (error) {
      throw this.explained(error, name);
    } finally {
      this.close((await uploading.catch(() => [])).map(({ buffer }) => buffer));
    }
  }

  async dispose(): Promise<void> {
    await this.inTurn(async () => {
      this.closed = true;
      this.close(this.state.values());
      this.state.clear();
      for (const compiled of this.compiled.values()) {
        const { executable } = await compiled.catch(() => ({ executable: undefined }));
        if (executable) this.device.addon.closeExecutable(executable);
      }
      for (const constant of this.constants.values()) this.close([await constant]);
    }).catch(() => undefined);
  }

  /** Bytes of a signature's program, as the compiler reports them. */
  async compiledMemory(name: string): Promise<CompiledMemory> {
    const { executable } = await this.compile(name);
    return this.device.addon.compiledMemory(executable);
  }

  /** The place of a variable on the device. */
  address(name: string): bigint {
    return this.device.addon.address(this.variable(name));
  }

  private async start(name: string, fed: ReadonlyMap<string, BufferHandle>) {
    const { addon } = this.device;
    const { lowered, executable, constants } = await this.compile(name);
    for (const variable of lowered.variables) {
      if (this.state.has(variable)) continue;
      if (lowered.read.has(variable)) this.variable(variable);
      // It is written before anything reads it: its buffer only has to be there.
      this.state.set(variable, await this.upload('zeros', this.spec(variable)));
    }
    const variables = lowered.variables.map(variable => this.variable(variable));
    const inputs = [...variables, ...constants, ...lowered.feeds.map(feed => valueFor(fed, feed.name))];
    const results = await addon.execute(executable, inputs);
    for (const [i, variable] of lowered.changed.entries()) this.replace(variable, elementAt(results, i));
    return { lowered, results: results.slice(lowered.changed.length) };
  }

  private compile(name: string): Promise<CompiledSignature> {
    const known = this.compiled.get(name) ?? this.compileNow(name);
    this.compiled.set(name, known);
    return known;
  }

  private async compileNow(name: string): Promise<CompiledSignature> {
    const signature = this.program.signatures[name];
    if (!signature) throw new EngineError(`the program has no signature ${name}`);
    const { text, operationAt, ...lowered } = lowerSignature(signature, this.specs);
    const executable = await this.device.compiler.compile(name, { text, operationAt });
    const constants = await Promise.all(
      lowered.constants.map(({ spec, value }) => this.constant(value(), () => this.upload(value(), spec))),
    );
    return { lowered: { ...lowered, constants: [] }, executable, constants };
  }

  private constant(value: HostArray, make: () => Promise<BufferHandle>): Promise<BufferHandle> {
    const known = this.constants.get(value) ?? make();
    this.constants.set(value, known);
    return known;
  }

  private upload(data: HostArray | 'zeros', spec: VariableSpec | { shape: readonly number[]; dtype: VariableSpec['dtype'] }) {
    return upload(this.device.addon, this.device.client, data, spec);
  }

  private replace(name: string, buffer: BufferHandle): void {
    const before = this.state.get(name);
    this.state.set(name, buffer);
    if (before) this.close([before]);
  }

  private close(buffers: Iterable<BufferHandle>): void {
    for (const buffer of buffers) this.device.addon.closeBuffer(buffer);
  }

  private spec(name: string): VariableSpec {
    const spec = this.specs.get(name);
    if (!spec) throw new EngineError(`the program has no variable ${name}`);
    return spec;
  }

  private variable(name: string): BufferHandle {
    const buffer = this.state.get(name);
    if (!buffer) throw new EngineError(`variable ${this.spec(name).name} is read before anything was loaded into it: call load() first`);
    return buffer;
  }

  private explained(error: unknown, name: string): unknown {
    return error instanceof EngineError || !(error instanceof Error) || !('status' in error)
      ? error
      : new EngineError(`${name}: ${error.message}`, { cause: error });
  }

  /** Runs `work` when what was asked for before has started. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(() => {
      if (this.closed) throw new EngineError('the session is closed');
      return work();
    });
    this.turn = mine.catch(() => undefined);
    return mine;
  }
}
