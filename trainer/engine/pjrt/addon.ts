/** The compiled addon (`native/`): clients, programs and buffers of PJRT plugins. Everything that may block returns a promise. */

import type { CoderAddon } from '../coder/native-coder.ts';
import type { DeviceMemory } from '../engine.ts';
import type { ClientOption } from '../install/pjrt-plugins.ts';
import type { GroupAddon } from '../mpi/group.ts';
import type { CompiledMemory } from './compiled-memory.ts';

/** Handles are opaque; each is freed when it is closed or garbage-collected. */
export interface ClientHandle {
  readonly client: unique symbol;
}
export interface ExecutableHandle {
  readonly executable: unique symbol;
}
export interface BufferHandle {
  readonly buffer: unique symbol;
}

/** A device that is described and need not be present. */
export interface TopologyHandle {
  readonly topology: unique symbol;
}
/** A program that was compiled for a topology, and cannot run here. */
export interface CompiledHandle {
  readonly compiled: unique symbol;
}

/**
 * A buffer, its shape, the code of the format in which it travels (`graph/sum-forms.ts`), and the name under which its rounding error is
 * kept, or ''.
 */
export type RankSum = readonly [buffer: BufferHandle, shape: readonly number[], form: number, residual: string];

/** A device as described by its plugin. */
export interface DeviceDescription {
  /** Name, for example "NVIDIA H100 80GB HBM3". */
  readonly kind: string;
  /** Attributes that are strings or integers: for a GPU, `compute_capability`, `core_count` (the number of multiprocessors) and others. */
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface ClientDescription {
  /** Version of the plugin's PJRT interface. */
  readonly major: number;
  readonly minor: number;
  /** "cpu", "cuda", "rocm" or "tpu". */
  readonly platform: string;
  readonly version: string;
  /** The first device. */
  readonly device: DeviceDescription;
  /** Number of devices that this process can use. */
  readonly devices: number;
}

export interface Addon extends CoderAddon, GroupAddon {
  /** Opens a plugin. @param libraries those that the plugin looks up by name; they are loaded before it, unless it is already loaded */
  open(path: string, options: readonly ClientOption[], libraries?: readonly string[]): Promise<ClientHandle>;
  describe(client: ClientHandle): ClientDescription;
  /** Returns the kinds of memory that the first device can access, in any order: `device`, `pinned_host` … */
  memoryKinds(client: ClientHandle): readonly string[];
  /** Returns the live buffers on all devices. */
  alive(client: ClientHandle): { readonly buffers: number; readonly bytes: number };
  /** Returns the counts of the first device; undefined if its allocator does not count. */
  deviceMemory(client: ClientHandle): DeviceMemory | undefined;
  compile(client: ClientHandle, code: Uint8Array, options: Uint8Array): Promise<ExecutableHandle>;
  deserialize(client: ClientHandle, bytes: Uint8Array): Promise<ExecutableHandle>;
  serialize(executable: ExecutableHandle): Promise<Uint8Array>;
  compiledMemory(executable: ExecutableHandle): CompiledMemory;
  /**
   * Uploads an array. Empty data stands for `bytes` zero bytes. The array must not change until the promise settles.
   * @param kind of memory; '' for the device's own
   * @param device index among those of the client
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
   * Starts a program; the results may not be available yet. Arguments that it updates in place must not be used again.
   * @param buffers for each device that the program runs on, in order, its arguments
   */
  execute(executable: ExecutableHandle, buffers: readonly (readonly BufferHandle[])[]): Promise<BufferHandle[][]>;
  /**
   * Sums float32 buffers over the ranks of a run, through the host's memory, into new buffers. Blocks another thread until all ranks have
   * started the sums.
   */
  sumOverRanks(client: ClientHandle, sums: readonly RankSum[]): Promise<BufferHandle[]>;
  address(buffer: BufferHandle): bigint;
  closeClient(client: ClientHandle): void;
  closeExecutable(executable: ExecutableHandle): void;
  /** Describes a device. @param options of the plugin, strings by name */
  describeDevice(path: string, name: string, options: readonly (readonly [string, string])[]): Promise<TopologyHandle>;
  /** Returns the first device of a topology. */
  describedDevice(topology: TopologyHandle): DeviceDescription;
  compileFor(topology: TopologyHandle, code: Uint8Array, options: Uint8Array): Promise<CompiledHandle>;
  compiledForMemory(compiled: CompiledHandle): CompiledMemory;
  /** Returns the program after all compiler passes, in the plugin's own binary format. */
  optimized(compiled: CompiledHandle): Promise<Uint8Array>;
  closeTopology(topology: TopologyHandle): void;
  closeCompiled(compiled: CompiledHandle): void;
  closeBuffer(buffer: BufferHandle): void;
}
