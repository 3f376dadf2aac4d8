/**
 * A program on one device or several: its variables stay there, and each signature is compiled when it first runs. Everything that a
 * signature with replicas uses has a copy on each device; the copies are bit-identical, because all change by the same sums. Sums over the
 * processes of a run are computed between programs, through the host's memory.
 */

import type { VariableSpec } from '../../graph/graph.ts';
import type { Node } from '../../graph/node-store.ts';
import { isOnHost, type Program, type Signature } from '../../graph/program.ts';
import { type SumPart, splitAtSums } from '../../graph/split-at-sums.ts';
import { sumForms } from '../../graph/sum-forms.ts';
import type { HostArray, TensorSpec } from '../../graph/types.ts';
import type { WeightCoder } from '../../graph/weight-coder.ts';
import type { SplittingCard } from '../../graph/xla-split-sums.ts';
import { turns } from '../../machine/turns.ts';
import { elementAt, required, valueFor } from '../../narrow.ts';
import { nativeCoder } from '../coder/native-coder.ts';
import { EngineError, type Session, type VariableData } from '../engine.ts';
import type { Addon, BufferHandle, ClientHandle, ExecutableHandle, RankSum } from './addon.ts';
import type { CompiledMemory } from './compiled-memory.ts';
import type { Compiler } from './compiler.ts';
import { checkCopies, copiesOf } from './copies.ts';
import { type BufferPlace, checkData, download, upload } from './host-form.ts';
import { type LoweredSignature, lowerSignature } from './lower.ts';
import { checkPlaces, HOST_MEMORY } from './memory-kinds.ts';

/** One buffer for each device that has the value. */
type Copies = readonly BufferHandle[];

type Feeds = Readonly<Record<string, HostArray>>;

/** A compiled part. A signature has one, plus another after each of its sums. */
interface CompiledPart {
  readonly part: SumPart;
  readonly lowered: Omit<LoweredSignature, 'text' | 'operationAt'>;
  readonly executable: ExecutableHandle;
  readonly constants: readonly Copies[];
}

/** A result, which stays on its devices until it is read. */
interface Output {
  readonly name: string;
  readonly spec: TensorSpec;
  readonly copies: Copies;
}

/** Values that one part keeps for later parts. */
type Held = Map<Node, Copies>;

export interface Device {
  readonly addon: Addon;
  readonly client: ClientHandle;
  readonly compiler: Compiler;
  /** Properties of a GPU; undefined for any other device. */
  readonly card?: SplittingCard | undefined;
}

export class PjrtSession implements Session {
  readonly runsAhead = true;
  readonly coder: WeightCoder;
  /** Defined only for a GPU, whose compiler benchmarks kernels on the device. */
  readonly compileAhead: Session['compileAhead'];
  private readonly device: Device;
  private readonly program: Program;
  private readonly specs: ReadonlyMap<string, VariableSpec>;
  /** The number of devices that hold each variable. */
  private readonly copies: ReadonlyMap<string, number>;
  private readonly state = new Map<string, Copies>();
  private readonly compiled = new Map<string, Promise<readonly CompiledPart[]>>();
  /** Constants that several signatures share, by the value of their attributes, and by device. */
  private readonly constants = new Map<HostArray, Promise<BufferHandle>[]>();
  /** Settles once everything requested so far has started on the device. */
  private readonly turn = turns();
  private closed = false;

  constructor(device: Device, program: Program) {
    this.device = device;
    this.coder = nativeCoder(device.addon);
    this.compileAhead = device.card && ((name, signal) => this.inTurn(async () => void (await this.compile(name, signal))));
    this.program = program;
    this.specs = new Map(program.variables.map(spec => [spec.name, spec]));
    this.copies = copiesOf(program);
    checkCopies(program, device.addon.describe(device.client).devices);
    checkPlaces(program.places, device.addon.memoryKinds(device.client));
  }

  async load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void> {
    for await (const { name, data, release } of values) {
      const spec = this.spec(name);
      if (data !== 'zeros') checkData(data, spec, `variable ${name}`);
      const copies = await this.uploadCopies(data, spec, name);
      release?.();
      await this.inTurn(async () => this.replace(name, copies));
    }
  }

  async read(name: string): Promise<HostArray> {
    return this.inTurn(() => download(this.device.addon, elementAt(this.variable(name), 0), this.spec(name)));
  }

  async readAll(names: readonly string[]): Promise<HostArray[]> {
    const values: HostArray[] = [];
    for (const name of names) values.push(await this.read(name));
    return values;
  }

  async run(name: string, feeds: Feeds): Promise<Record<string, HostArray>> {
    const { replicas = 1 } = this.signature(name);
    return elementAt(await this.runWith(name, Array<Feeds>(replicas).fill(feeds), 1), 0);
  }

  async runEach(name: string, feeds: readonly Feeds[]): Promise<Record<string, HostArray>[]> {
    const { replicas = 1 } = this.signature(name);
    if (feeds.length !== replicas)
      throw new EngineError(`${name} runs on ${replicas} devices at the same time, but was given feeds of ${feeds.length}`);
    return this.runWith(name, feeds, replicas);
  }

  /** Runs a signature. @param feeds for each device @param read number of devices, from the first, whose outputs are returned */
  private async runWith(name: string, feeds: readonly Feeds[], read: number): Promise<Record<string, HostArray>[]> {
    const signature = this.signature(name);
    for (const own of feeds) for (const { attrs } of signature.feeds) checkData(own[attrs.name], attrs.spec, `${name}: feed ${attrs.name}`);
    const uploading = Promise.all(
      signature.feeds.map(async ({ attrs: { name: feed, spec } }) => ({
        feed,
        copies: await Promise.all(feeds.map((own, device) => this.upload(required(own[feed], feed), spec, { device }))),
      })),
    );
    // A failed upload is reported when its turn comes.
    uploading.catch(() => undefined);
    try {
      // Takes its turn now: uploads finish in any order, but runs keep the order of their calls.
      const results = await this.inTurn(async () => this.start(name, new Map((await uploading).map(({ feed, copies }) => [feed, copies]))));
      try {
        const outputs = Array.from({ length: read }, (): Record<string, HostArray> => ({}));
        for (const { name: output, spec, copies } of results)
          for (const [device, own] of outputs.entries()) own[output] = await download(this.device.addon, elementAt(copies, device), spec);
        return outputs;
      } finally {
        this.close(results.flatMap(({ copies }) => copies));
      }
    } catch (error) {
      throw this.explained(error, name);
    } finally {
      this.close((await uploading.catch(() => [])).flatMap(({ copies }) => copies));
    }
  }

  async dispose(): Promise<void> {
    await this.inTurn(async () => {
      this.closed = true;
      this.close([...this.state.values()].flat());
      this.state.clear();
      for (const compiled of this.compiled.values())
        for (const { executable } of await compiled.catch(() => [])) this.device.addon.closeExecutable(executable);
      for (const constant of [...this.constants.values()].flat()) this.close([await constant]);
    }).catch(() => undefined);
  }

  /**
   * Returns the bytes of a signature's program on one device, as reported by the compiler; of several programs, the one with the most
   * temporaries.
   */
  async compiledMemory(name: string): Promise<CompiledMemory> {
    const all = (await this.compile(name)).map(({ executable }) => this.device.addon.compiledMemory(executable));
    return all.reduce((most, each) => (each.temporaries > most.temporaries ? each : most));
  }

  /** Returns the address of a variable on the first device. */
  address(name: string): bigint {
    return this.device.addon.address(elementAt(this.variable(name), 0));
  }

  /** Returns the whole of a variable from each device that has it. */
  async readEach(name: string): Promise<HostArray[]> {
    return this.inTurn(() => Promise.all(this.variable(name).map(buffer => download(this.device.addon, buffer, this.spec(name)))));
  }

  private async start(name: string, fed: ReadonlyMap<string, Copies>): Promise<Output[]> {
    const parts = await this.compile(name);
    const held: Held = new Map();
    const outputs: Output[] = [];
    try {
      for (const [i, compiled] of parts.entries()) {
        outputs.push(...(await this.startPart(compiled, fed, held)));
        const readLater = new Set(parts.slice(i + 1).flatMap(({ part }) => part.given));
        await this.sum(compiled.part, held, readLater);
        this.letGo(held, node => !readLater.has(node));
      }
      return outputs;
    } catch (error) {
      this.close(outputs.flatMap(({ copies }) => copies));
      throw error;
    } finally {
      this.close([...held.values()].flat());
    }
  }

  private async startPart(
    { part, lowered, executable, constants }: CompiledPart,
    fed: ReadonlyMap<string, Copies>,
    held: Held,
  ): Promise<Output[]> {
    for (const variable of lowered.variables) {
      if (this.state.has(variable)) continue;
      if (lowered.read.has(variable)) this.variable(variable);
      // It is written before it is read, so its buffer only has to exist.
      this.state.set(variable, await this.uploadCopies('zeros', this.spec(variable), variable));
    }
    const given = part.given.map(node => valueFor(held, node));
    const values = [
      ...lowered.variables.map(variable => this.variable(variable)),
      ...constants,
      ...lowered.feeds.map(feed => valueFor(fed, feed.name)),
      ...given,
    ];
    const devices = [...Array(part.replicas ?? 1).keys()];
    const results = await this.device.addon.execute(
      executable,
      devices.map(device => values.map(copies => elementAt(copies, device))),
    );
    const resultAt = (i: number): Copies => results.map(own => elementAt(own, i));
    const { changed, outputs } = lowered;
    for (const [i, variable] of changed.entries()) this.replace(variable, resultAt(i));
    for (const [i, node] of part.kept.entries()) held.set(node, resultAt(changed.length + i));
    const first = changed.length + part.kept.length;
    return outputs.map((output, i) => ({ ...output, copies: resultAt(first + i) }));
  }

  /** Computes the sums that a part starts, from the values that it has kept. */
  private async sum({ sums }: SumPart, held: Held, readLater: ReadonlySet<Node>): Promise<void> {
    if (sums.length === 0) return;
    const { addon, client } = this.device;
    const given = sums.map(({ begin, own }): RankSum => {
      const { as, residual } = begin.attrs;
      const { code, keepsLoss } = sumForms[as];
      return [elementAt(valueFor(held, own), 0), own.shape, code, keepsLoss ? residual : ''];
    });
    const summing = addon.sumOverRanks(client, given);
    // The addon owns the buffers until the host has the values; each buffer is then freed on the device.
    const own = new Set(sums.map(each => each.own));
    this.letGo(held, node => own.has(node) && !readLater.has(node));
    const results = await summing;
    for (const [i, { sum }] of sums.entries()) held.set(sum, [elementAt(results, i)]);
  }

  private letGo(held: Held, isOver: (node: Node) => boolean): void {
    for (const [node, copies] of held) {
      if (!isOver(node)) continue;
      this.close(copies);
      held.delete(node);
    }
  }

  private compile(name: string, signal?: AbortSignal): Promise<readonly CompiledPart[]> {
    const known = this.compiled.get(name) ?? this.compileNow(name, signal);
    this.compiled.set(name, known);
    return known;
  }

  private async compileNow(name: string, signal: AbortSignal | undefined): Promise<readonly CompiledPart[]> {
    const parts = splitAtSums(this.signature(name));
    const compiled: CompiledPart[] = [];
    for (const [i, part] of parts.entries()) {
      const { text, operationAt, ...lowered } = lowerSignature(part, this.specs, { places: this.program.places, card: this.device.card });
      const title = parts.length === 1 ? name : `${name}, part ${i + 1} of ${parts.length}`;
      const executable = await this.device.compiler.compile(title, { text, operationAt, replicas: part.replicas }, signal);
      const constants = await Promise.all(lowered.constants.map(({ spec, value }) => this.constant(value(), spec, part.replicas ?? 1)));
      compiled.push({ part, lowered: { ...lowered, constants: [] }, executable, constants });
    }
    return compiled;
  }

  /** Returns the same constant on the first devices. */
  private constant(value: HostArray, spec: TensorSpec, devices: number): Promise<Copies> {
    const known = this.constants.get(value) ?? [];
    this.constants.set(value, known);
    while (known.length < devices) known.push(this.upload(value, spec, { device: known.length }));
    return Promise.all(known.slice(0, devices));
  }

  private upload(data: HostArray | 'zeros', spec: TensorSpec, place: BufferPlace): Promise<BufferHandle> {
    return upload(this.device.addon, this.device.client, data, spec, place);
  }

  private uploadCopies(data: HostArray | 'zeros', spec: TensorSpec, variable: string): Promise<Copies> {
    const devices = [...Array(this.copies.get(variable) ?? 1).keys()];
    return Promise.all(devices.map(device => this.upload(data, spec, { device, kind: this.kindOf(variable) })));
  }

  /** Returns the memory kind of a variable; undefined for the device's own. */
  private kindOf(variable: string): string | undefined {
    return isOnHost(this.program.places?.get(variable)) ? HOST_MEMORY : undefined;
  }

  private replace(name: string, copies: Copies): void {
    const before = this.state.get(name);
    this.state.set(name, copies);
    if (before) this.close(before);
  }

  private close(buffers: Iterable<BufferHandle>): void {
    for (const buffer of buffers) this.device.addon.closeBuffer(buffer);
  }

  private signature(name: string): Signature {
    const signature = this.program.signatures[name];
    if (signature) return signature;
    throw new EngineError(`the program has no signature ${name}; it has ${Object.keys(this.program.signatures).join(', ')}`);
  }

  private spec(name: string): VariableSpec {
    const spec = this.specs.get(name);
    if (!spec) throw new EngineError(`the program has no variable ${name}`);
    return spec;
  }

  private variable(name: string): Copies {
    const copies = this.state.get(name);
    if (!copies) throw new EngineError(`variable ${this.spec(name).name} is read before anything was loaded into it: call load() first`);
    return copies;
  }

  private explained(error: unknown, name: string): unknown {
    return error instanceof EngineError || !(error instanceof Error) || !('status' in error)
      ? error
      : new EngineError(`${name}: ${error.message}`, { cause: error });
  }

  /** Runs `work` once everything requested before has started. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.turn(async () => {
      if (this.closed) throw new EngineError('the session is closed');
      return work();
    });
  }
}
