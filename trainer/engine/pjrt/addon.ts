/** The compiled addon (`native/`): clients, programs and buffers of PJRT plugins. Whatever may wait gives a promise. */

import type { CoderAddon } from '../coder/native-coder.ts';
import type { DeviceMemory } from '../engine.ts';
import type { ClientOption } from '../install/pjrt-plugins.ts';
import type { GroupAddon } from '../mpi/group.ts';
import type { CompiledMemory } from './compiled-memory.ts';

/** Handles are opaque; each is freed when it is closed or collected. */
export interface ClientHandle {
  readonly client: unique symbol;
}
export interface ExecutableHandle {
  readonly executable: unique symbol;
}
export interface BufferHandle {
  readonly buffer: unique symbol;
}

/** A device that is described and need not be there. */
export interface TopologyHandle {
  readonly topology: unique symbol;
}
/** A program that was compiled for a topology, and cannot run here. */
export interface CompiledHandle {
  readonly compiled: unique symbol;
}

/** A buffer, its shape, the number of the form in which it travels (`graph/sum-forms.ts`), and the name under which what that loses is kept, or ''. */
export type RankSum = readonly [buffer: BufferHandle, shape: readonly number[], form: number, residual: string];

/** A device as its plugin describes it. */
export interface DeviceDescription {
  /** For example "NVIDIA H100 80GB HBM3". */
  readonly kind: string;
  /** Those that are a text or an integer: of a GPU, among others, `compute_capability` and `core_count`, the number of its multiprocessors. */
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface ClientDescription {
  /** Version of the plugin's PJRT interface. */
  readonly major: number;
  readonly minor: number;
  /** "cpu", "cuda", "rocm", "tpu". */
  readonly platform: string;
  readonly version: string;
  /** The first device. */
  readonly device: DeviceDescription;
  /** Those that this process reaches. */
  readonly devices: number;
}

export interface Addon extends CoderAddon, GroupAddon {
  /** @param libraries those that the plugin looks for by their names; they are loaded before it, where it is not loaded yet */
  open(path: string, options: readonly ClientOption[], libraries?: readonly string[]): Promise<ClientHandle>;
  describe(client: ClientHandle): ClientDescription;
  /** The kinds of memory that the first device reaches, its own first or not: `device`, `pinned_host` … */
  memoryKinds(client: ClientHandle): readonly string[];
  /** Buffers that are alive, on all devices. */
  alive(client: ClientHandle): { readonly buffers: number; readonly bytes: number };
  /** The counts of the first device; undefined where its allocator does not count. */
  deviceMemory(client: ClientHandle): DeviceMemory | undefined;
  compile(client: ClientHandle, code: Uint8Array, options: Uint8Array): Promise<ExecutableHandle>;
  deserialize(client: ClientHandle, bytes: Uint8Array): Promise<ExecutableHandle>;
  serialize(executable: ExecutableHandle): Promise<Uint8Array>;
  compiledMemory(executable: ExecutableHandle): CompiledMemory;
  /**
   * Data of no bytes stands for `bytes` of zeros. The array must not change until the promise settles.
   * @param kind of memory; '' for the device's own
   * @param device its place among those of the client
   */
  upload(
    client: ClientHandle,
    data: Uint8Array,
    type: number,
    shape: readonly number[],
    bytes: number,
    kind: string,
    device: number,
  ): Promise<BufferHandle>;
  download(buffer: BufferHandle, target: Uint8Array): Promise<void>;
  /**
   * Starts a program; the results may not be there yet. Arguments that it updates in place must not be used again.
   * @param buffers those of each device that the program runs on, in their order
   */
  execute(executable: ExecutableHandle, buffers: readonly (readonly BufferHandle[])[]): Promise<BufferHandle[][]>;
  /** Sums of float32 over the ranks of a run, through the host's memory, in new buffers. Blocks another thread until all ranks have begun them. */
  sumOverRanks(client: ClientHandle, sums: readonly RankSum[]): Promise<BufferHandle[]>;
  address(buffer: BufferHandle): bigint;
  closeClient(client: ClientHandle): void;
  closeExecutable(executable: ExecutableHandle): void;
  /** @param options of the plugin, texts by name */
  describeDevice(path: string, name: string, options: readonly (readonly [string, string])[]): Promise<TopologyHandle>;
  /** The first device of a topology. */
  describedDevice(topology: TopologyHandle): DeviceDescription;
  compileFor(topology: TopologyHandle, code: Uint8Array, options: Uint8Array): Promise<CompiledHandle>;
  compiledForMemory(compiled: CompiledHandle): CompiledMemory;
  /** The program after all passes of the compiler, in the plugin's own binary form. */
  optimized(compiled: CompiledHandle): Promise<Uint8Array>;
  closeTopology(topology: TopologyHandle): void;
  closeCompiled(compiled: CompiledHandle): void;
  closeBuffer(buffer: BufferHandle): void;
}
