/** A program loaded into TensorFlow: runs its signatures and transfers variables in and out. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Program } from '../../graph/program.ts';
import { byteSize, bytesPerElement, type DType, elementCount, type HostArray } from '../../graph/types.ts';
import type { WeightCoder } from '../../graph/weight-coder.ts';
import { elementAt } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { nativeCoder } from '../coder/native-coder.ts';
import { EngineError, type Session, type VariableData } from '../engine.ts';
import { HOST_ARRAY } from '../host-array.ts';
import type { Addon } from './addon.ts';
import type { Heap } from './heap.ts';
import { fedData, fedForm, fetchedData } from './host-form.ts';
import { placeOf, placePort } from './host-place.ts';
import type { KernelLibrary } from './kernel-library.ts';
import {
  GUARDED,
  type Kernels,
  type LoweredProgram,
  type LoweredSignature,
  type LoweredVariable,
  lowerProgram,
  type Port,
} from './lower.ts';
import { DATA_TYPE } from './node-def.ts';
import type { OffloadFile } from './offload-file.ts';
import { encodeSavedModel, SERVE_TAG } from './saved-model.ts';

/** One run loads variables of about this total size, which are in memory twice until it is over. */
const LOAD_BATCH_BYTES = 16 * 2 ** 20;

interface Fed {
  readonly port: Port;
  readonly data: HostArray;
  /** The array whose address is fed: it must stay alive until the run is over. */
  readonly keeps?: HostArray | 'zeros';
}

const nothing = (): void => undefined;

export interface SessionParts {
  readonly heap?: Heap | undefined;
  readonly kernels: Kernels;
  /** Our own kernels, if they fill the variables. */
  readonly library?: KernelLibrary | undefined;
  readonly offload?: OffloadFile | undefined;
}

/**
 * Writes the program as a SavedModel and opens it as one session. TensorFlow builds an executor on the first run of each set of feeds and
 * fetches. Its graph rewrites are off (see addon-header.ts): 6,000 nodes then start in 0.17 s instead of 1.46 s, on one core; a run costs
 * about 2 µs per node beyond the arithmetic, and the control dependencies that enforce the order cost nothing measurable.
 * @throws EngineError if TensorFlow rejects it
 */
export function openSession(addon: Addon, program: Program, { heap, kernels, library, offload }: SessionParts): Session {
  const lowered = lowerProgram(program, { ...kernels, copiesHost: library !== undefined }, offload);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-program-'));
  try {
    writeFileSync(path.join(folder, 'saved_model.pb'), encodeSavedModel(lowered.nodes));
    const { signatures, variables } = lowered;
    // The nodes themselves are not kept: TensorFlow has its own copy.
    return new TensorflowSession(addon, { signatures, variables }, addon.loadSavedModel(folder, SERVE_TAG), { heap, library, offload });
  } catch (error) {
    offload?.close();
    throw new EngineError(`TensorFlow could not load the program: ${messageOf(error)}`);
  } finally {
    // TensorFlow has read the graph, so the file is no longer needed.
    rmSync(folder, { recursive: true, force: true });
  }
}

class TensorflowSession implements Session {
  readonly coder: WeightCoder | undefined;
  private readonly addon: Addon;
  private readonly program: Pick<LoweredProgram, 'signatures' | 'variables'>;
  private readonly heap: Heap | undefined;
  private readonly library: KernelLibrary | undefined;
  private readonly offload: OffloadFile | undefined;
  private readonly compiled = new Set<string>();
  private session: number | undefined;

  constructor(
    addon: Addon,
    program: Pick<LoweredProgram, 'signatures' | 'variables'>,
    session: number,
    { heap, library, offload }: Pick<SessionParts, 'heap' | 'library' | 'offload'>,
  ) {
    this.addon = addon;
    this.program = program;
    this.session = session;
    this.heap = heap;
    this.library = library;
    // The copy into a variable widens bits itself.
    this.coder = library && { ...nativeCoder(library), widen: undefined };
    this.offload = offload;
  }

  async load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void> {
    this.heap?.beginLoad();
    let batch: Fed[] = [];
    let loaded: string[] = [];
    let releases: (() => void)[] = [];
    let [bytes, loadedBytes] = [0, 0];
    const flush = () => {
      if (loaded.length > 0) this.execute('load', batch, loaded);
      for (const release of releases) release();
      loadedBytes += bytes;
      [batch, loaded, releases, bytes] = [[], [], [], 0];
    };
    for await (const { name, data, release = nothing } of values) {
      const variable = this.variable(name);
      batch.push(this.fedFor(variable.load, data));
      loaded.push(variable.loaded);
      releases.push(release);
      bytes += byteSize(variable.load.spec);
      if (bytes >= LOAD_BATCH_BYTES) flush();
    }
    flush();
    this.heap?.endLoad(loadedBytes);
  }

  private fedFor(load: Port, data: HostArray | 'zeros'): Fed {
    const { library } = this;
    const isWidened = library && load.spec.dtype === 'float32' && data instanceof Uint16Array;
    if (data !== 'zeros')
      checkData(data, isWidened ? { ...load, spec: { ...load.spec, dtype: 'bfloat16' } } : load, `variable ${load.name}`);
    if (library) return { port: placePort(load), data: placeOf(library, data, load.spec), keeps: data };
    return data === 'zeros'
      ? { port: { ...load, spec: { ...load.spec, shape: [] } }, data: oneZero(load.spec.dtype) }
      : { port: load, data };
  }

  async read(name: string): Promise<HostArray> {
    return elementAt(await this.readAll([name]), 0);
  }

  async readAll(names: readonly string[]): Promise<HostArray[]> {
    const offloaded = new Map(
      names.flatMap(name => (this.offload?.offsets.has(name) ? [[name, this.offload.read(this.variable(name).spec)] as const] : [])),
    );
    const rest = names.filter(name => !offloaded.has(name));
    const read = rest.length > 0 ? this.readInOneRun(rest) : [];
    return names.map(name => offloaded.get(name) ?? elementAt(read, rest.indexOf(name)));
  }

  /** Reads variables in one run, because TensorFlow builds an executor for each set of fetches. */
  private readInOneRun(names: readonly string[]): HostArray[] {
    const ports = names.map(name => this.variable(name).read);
    const fetched = this.execute(
      `read of ${names.length === 1 ? names[0] : `${names.length} variables`}`,
      [],
      ports.map(({ node }) => node),
    );
    return ports.map(({ spec }, i) => fetchedData(elementAt(fetched, i), spec));
  }

  async run(name: string, feeds: Readonly<Record<string, HostArray>>): Promise<Record<string, HostArray>> {
    const signature = this.program.signatures.get(name);
    if (!signature)
      throw new EngineError(`the program has no signature '${name}'; it has ${[...this.program.signatures.keys()].join(', ')}`);
    const fed = signature.feeds.map(port => {
      const data = feeds[port.name];
      if (!data) throw new EngineError(`signature ${name}: feed '${port.name}' is missing`);
      checkData(data, port, `signature ${name}: feed '${port.name}'`);
      return { port, data };
    });
    const fetches = signature.outputs.length > 0 ? signature.outputs.map(port => port.node) : [signature.done];
    if (this.heap && !this.compiled.has(name)) this.compileOnly(name, signature, fed, fetches);
    const fetched = this.execute(name, [...fed, { port: signature.guard, data: Float32Array.of(0) }], fetches);
    return Object.fromEntries(signature.outputs.map((port, i) => [port.name, fetchedData(elementAt(fetched, i), port.spec)]));
  }

  /**
   * Compiles without running. Compiling leaves much freed memory; done separately, that memory can be returned before the first run
   * allocates its tensors.
   */
  private compileOnly(name: string, { guard }: LoweredSignature, fed: readonly Fed[], fetches: readonly string[]): void {
    try {
      this.execute(name, [...fed, { port: guard, data: Float32Array.of(Number.NaN) }], fetches);
    } catch (error) {
      if (!messageOf(error).includes(GUARDED)) throw error;
    }
    this.compiled.add(name);
    this.heap?.afterCompile();
  }

  async dispose(): Promise<void> {
    if (this.session === undefined) return;
    this.addon.deleteSavedModel(this.session);
    this.offload?.close();
    this.session = undefined;
  }

  private variable(name: string): LoweredVariable {
    const variable = this.program.variables.get(name);
    if (!variable) throw new EngineError(`the program has no variable '${name}'`);
    return variable;
  }

  /** Executes one blocking run. Deletes every tensor created for it, whatever happens. */
  private execute(what: string, fed: readonly Fed[], fetches: readonly string[]): HostArray[] {
    const { addon, session } = this;
    if (session === undefined) throw new EngineError(`${what}: the session is closed`);
    const tensors: number[] = [];
    try {
      for (const { port, data } of fed) {
        const form = fedForm(port.spec);
        tensors.push(addon.createTensor(form.shape, DATA_TYPE[form.dtype], fedData(data, port.spec.dtype)));
      }
      const fedNames = fed.map(({ port }) => `${port.node}:0`).join();
      const results = addon.runSavedModel(session, tensors, fedNames, fetches.map(name => `${name}:0`).join());
      tensors.push(...results.map(result => result.id));
      return results.map(result => addon.tensorDataSync(result.id));
    } catch (error) {
      throw new EngineError(`${what}: ${messageOf(error)}`);
    } finally {
      for (const id of tensors) addon.deleteTensor(id);
    }
  }
}

const oneZero = (dtype: DType): HostArray => new HOST_ARRAY[dtype](new ArrayBuffer(bytesPerElement(dtype)));

function checkData(data: HostArray, { spec }: Port, where: string): void {
  const expected = HOST_ARRAY[spec.dtype].name;
  const count = elementCount(spec.shape);
  if (data.constructor.name !== expected)
    throw new EngineError(`${where} is a ${data.constructor.name}; ${spec.dtype} takes a ${expected}`);
  if (data.length !== count) throw new EngineError(`${where} has ${data.length} elements; [${spec.shape}] takes ${count}`);
}
