/** The interface of every engine. An engine knows the graph and no other part of Rowtune. */

import type { DeviceCard } from '../catalog/device-card.ts';
import type { EngineName } from '../catalog/engines.ts';
import type { Planner } from '../graph/fusion/plan.ts';
import type { KnownPrograms } from '../graph/known-programs.ts';
import type { Program, VariableData } from '../graph/program.ts';
import type { HostArray } from '../graph/types.ts';
import type { WeightCoder } from '../graph/weight-coder.ts';

export type { EngineName } from '../catalog/engines.ts';
export type { VariableData } from '../graph/program.ts';

/** The description of the running engine for the user. */
export interface EngineDescription {
  readonly name: EngineName;
  /** Summary, for example "TensorFlow 2.21.0, CPU (AVX512, AMX)" or "tfjs 4.22.0, wasm with SIMD". */
  readonly summary: string;
  readonly device: 'cpu' | 'gpu';
  /** The first GPU, for an engine whose memory there is estimated. */
  readonly gpu?: DeviceCard;
  /** True if elementwise operations between two products run in one pass (graph/fusion). */
  readonly fuses: boolean;
  /** The reason why they do not, on an engine that could. */
  readonly unfused?: string;
  /** True if bfloat16 convolutions are computed in 16 bits; otherwise they are computed in 32 and their results are rounded. */
  readonly narrowConvolutions: boolean;
  /** True if a library of the device computes attention as one kernel. Each variant must still be tested for correctness. */
  readonly fusedAttention?: boolean;
  readonly versions: Readonly<Record<string, string>>;
}

export interface CompileOptions {
  /** Folder for variables stored on disk, until the session is closed. */
  readonly offloadFolder?: string;
  /** Plans fused steps, on an engine that fuses: a planner that has priced the program need not plan it again. */
  readonly fuse?: Planner;
}

export interface Engine {
  readonly description: EngineDescription;
  compile(program: Program, options?: CompileOptions): Promise<Session>;
  /**
   * Joins the other processes of a run through this MPI library, or through TensorFlow ('grpc:', the rank and the addresses), and blocks
   * until all have joined; with TensorFlow, the first exchange blocks instead. After that, `beginSum` and `endSum` sum over all processes.
   * An engine without it runs in one process only.
   * @throws EngineError if the library does not load or cannot reach the other processes
   */
  readonly join?: (library: string) => Group;
  /** Returns the counts of the device's own allocator for this process. An engine without it holds everything in the process's memory. */
  readonly deviceMemory?: () => DeviceMemory | undefined;
  /** Number of devices of this process that a signature with replicas can run on; 1 if omitted. */
  readonly devices?: number;
  /** Previously compiled programs, on an engine that keeps them. */
  readonly known?: KnownPrograms | undefined;
  /**
   * Bytes of the smallest block weight that is stored in the host's memory, in programs that only read a model, as requested by the job;
   * omitted if none is.
   */
  readonly hostFrom?: number | undefined;
}

/** Memory of a device in bytes. A plugin may report only some of the values. */
export interface DeviceMemory {
  readonly used: number;
  /** Peak since the process started. */
  readonly peak?: number;
  readonly limit?: number;
  /** Memory that the allocator has reserved, whether in use or not. */
  readonly pool?: number;
}

/** The group of processes of a run. This process is number `rank`. */
export interface Group {
  /** Rank, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /**
   * Returns the bytes that each rank contributes, in rank order. Blocks until all have contributed. @throws EngineError if a rank is lost
   */
  gather(bytes: Uint8Array): Uint8Array[];
  /**
   * Starts watching: a rank that shows no sign of life in this shared folder for this long counts as lost, and any rank that waits for it
   * fails.
   */
  watch(folder: string, seconds: number): void;
  /** Tells the other ranks through that folder that this rank has failed. */
  fail(reason: string): void;
  /** Returns the reason why exchanges fail; undefined while they work. */
  failure(): string | undefined;
  counts(): ExchangeCounts;
  /** Rounding errors of this process's narrow sums; must not be used while a sum is in transit. */
  readonly residuals: Residuals;
  /** Leaves the group; all ranks must do so. */
  leave(): void;
}

/** Values kept from one sum to the next, by the names of the sums, which are the same on all ranks. */
export interface Residuals {
  names(): readonly string[];
  /** Returns the values, or an empty array if there are none with this name. */
  read(name: string): Float32Array;
  write(name: string, values: Float32Array): void;
}

/** Totals of sums and gathers of this process so far. */
export interface ExchangeCounts {
  readonly exchanges: number;
  /** Bytes contributed by this rank. */
  readonly bytes: number;
  /** Seconds during which an exchange was in transit. */
  readonly busySeconds: number;
  /** Seconds during which the program waited for an exchange. */
  readonly waitedSeconds: number;
}

/**
 * A compiled program with its variables. Element types on the host: float32 → Float32Array, int32 → Int32Array,
 * bfloat16 → Uint16Array (its bits), uint8 and bool → Uint8Array, int8 → Int8Array.
 */
export interface Session {
  /**
   * True if a second run may be requested while the first is executing: its feeds are uploaded meanwhile, and it starts after the first. If
   * omitted, a run has finished when `run` returns.
   */
  readonly runsAhead?: boolean;
  /** Encodes weights for `load`; done in JavaScript if omitted. */
  readonly coder?: WeightCoder | undefined;
  /**
   * Fills variables one by one, so that a model larger than the heap can be streamed. A variable that was never loaded must not be read.
   */
  load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void>;
  /** Returns the whole of a variable. */
  read(variable: string): Promise<HostArray>;
  /** Returns several variables at once, in the order of their names. */
  readAll(variables: readonly string[]): Promise<HostArray[]>;
  /** Runs one signature. Every feed must be present with the exact number of elements; throws EngineError otherwise. */
  run(signature: string, feeds: Readonly<Record<string, HostArray>>): Promise<Record<string, HostArray>>;
  /**
   * Runs a signature with replicas, each device with its own feeds, and returns the outputs of each. `run` gives all devices the same
   * feeds, and returns the outputs of the first. An engine without it runs on one device.
   */
  readonly runEach?: (signature: string, feeds: readonly Readonly<Record<string, HostArray>>[]) => Promise<Record<string, HostArray>[]>;
  /**
   * Compiles a signature before its first run: a compiler that tests kernels on the device needs memory there, which weights would fill.
   * Omitted if compiling needs no device memory.
   * @param signal ends the waiting for another process that compiles the same program; throws an AbortError
   */
  readonly compileAhead?: (signature: string, signal?: AbortSignal) => Promise<void>;
  dispose(): Promise<void>;
}

/** Checks that a program runs on one device. @throws EngineError for a program with several devices, on an engine that supports one */
export function requireOneDevice({ signatures }: Program): void {
  const [name, signature] = Object.entries(signatures).find(([, { replicas = 1 }]) => replicas > 1) ?? [];
  if (signature) throw new EngineError(`${name} needs ${signature.replicas} devices, but this engine supports only one`);
}

/** Thrown if the engine is missing, broken, or asked for something it does not support; the message names the command that fixes it. */
export class EngineError extends Error {
  override name = 'EngineError';
}
