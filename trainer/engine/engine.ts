/** The interface of every engine. An engine knows the graph and nothing else of ours. */

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
  /** For example "TensorFlow 2.21.0, CPU (AVX512, AMX)" or "tfjs 4.22.0, wasm with SIMD". */
  readonly summary: string;
  readonly device: 'cpu' | 'gpu';
  /** The first GPU, of an engine whose memory there is estimated. */
  readonly gpu?: DeviceCard;
  /** Does it run what lies between two products in one pass (graph/fusion)? */
  readonly fuses: boolean;
  /** Why it does not, where it could. */
  readonly unfused?: string;
  /** Are convolutions of bfloat16 computed in 16 bits? Otherwise in 32, with results that are rounded. */
  readonly narrowConvolutions: boolean;
  /** Does a library of the device compute attention as one kernel? Whether it does so rightly, each form has to be tried. */
  readonly fusedAttention?: boolean;
  readonly versions: Readonly<Record<string, string>>;
}

export interface CompileOptions {
  /** The folder for variables whose place is on disk, until the session is closed. */
  readonly offloadFolder?: string;
  /** Plans fused steps, on an engine that fuses: one that has priced the program need not plan it again. */
  readonly fuse?: Planner;
}

export interface Engine {
  readonly description: EngineDescription;
  compile(program: Program, options?: CompileOptions): Promise<Session>;
  /**
   * Joins the other processes of a run through this MPI library, or through TensorFlow ('grpc:', the rank and the addresses), and blocks until
   * all are there; through TensorFlow, the first exchange does. From then on, the operations `beginSum` and `endSum` sum over all of them. An
   * engine without it runs in one process.
   * @throws EngineError if the library does not load, or cannot reach the others
   */
  readonly join?: (library: string) => Group;
  /** The counts of the device's own allocator for this process. An engine without it holds everything in the memory of the process. */
  readonly deviceMemory?: () => DeviceMemory | undefined;
  /** Devices of this process that a signature with replicas can run on; 1 if left out. */
  readonly devices?: number;
  /** Programs that were compiled before, on an engine that keeps them. */
  readonly known?: KnownPrograms | undefined;
  /** Bytes of the smallest weight of a block that lies in the host's memory, in programs that only read a model, as its job asks; none does if left out. */
  readonly hostFrom?: number | undefined;
}

/** Bytes on a device. A plugin may know some of them only. */
export interface DeviceMemory {
  readonly used: number;
  /** The most since the process began. */
  readonly peak?: number;
  readonly limit?: number;
  /** The memory that the allocator has taken, in use or not. */
  readonly pool?: number;
}

/** The processes of a run, of which this one is number `rank`. */
export interface Group {
  /** From 0. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** The bytes that each rank gives, in their order. Blocks until all have given some. @throws EngineError if a rank is lost */
  gather(bytes: Uint8Array): Uint8Array[];
  /** From now on, a rank that gives no sign of life in this shared folder for so long is lost, and whoever waits for it fails. */
  watch(folder: string, seconds: number): void;
  /** Lets the others know through that folder that this rank has failed. */
  fail(reason: string): void;
  /** Why exchanges fail; undefined while they work. */
  failure(): string | undefined;
  counts(): ExchangeCounts;
  /** The losses of narrow sums of this process's numbers; not to be used while one is on its way. */
  readonly residuals: Residuals;
  /** Ends the membership, when all ranks do. */
  leave(): void;
}

/** Values that are kept from one sum to the next, by the names of their sums: the same names on all ranks. */
export interface Residuals {
  names(): readonly string[];
  /** Empty if there is none of this name. */
  read(name: string): Float32Array;
  write(name: string, values: Float32Array): void;
}

/** Sums and collections of this process so far. */
export interface ExchangeCounts {
  readonly exchanges: number;
  /** Given by this rank. */
  readonly bytes: number;
  /** Seconds in which an exchange was on its way. */
  readonly busySeconds: number;
  /** Seconds in which the program waited for one. */
  readonly waitedSeconds: number;
}

/**
 * A compiled program with its variables. Element types on the host: float32 → Float32Array, int32 → Int32Array,
 * bfloat16 → Uint16Array (its bits), uint8 and bool → Uint8Array, int8 → Int8Array.
 */
export interface Session {
  /**
   * A second run may be asked for while the first is on its way: its feeds are uploaded meanwhile, and it starts behind the first. Left out:
   * a run is over before `run` returns.
   */
  readonly runsAhead?: boolean;
  /** Computes the forms of weights for `load`; in JavaScript if left out. */
  readonly coder?: WeightCoder | undefined;
  /** Fills variables, taking them one by one, so that a model larger than the heap streams through. A variable never loaded must not be read. */
  load(values: AsyncIterable<VariableData> | Iterable<VariableData>): Promise<void>;
  /** The whole of a variable. */
  read(variable: string): Promise<HostArray>;
  /** Several variables in one go, in the order of their names. */
  readAll(variables: readonly string[]): Promise<HostArray[]>;
  /** Runs one signature. Every feed must be given, with the exact number of elements; throws EngineError otherwise. */
  run(signature: string, feeds: Readonly<Record<string, HostArray>>): Promise<Record<string, HostArray>>;
  /**
   * Runs a signature with replicas, each device with feeds of its own, and gives the outputs of each. `run` feeds all devices alike, and gives
   * those of the first. An engine without it runs on one device.
   */
  readonly runEach?: (signature: string, feeds: readonly Readonly<Record<string, HostArray>>[]) => Promise<Record<string, HostArray>[]>;
  /**
   * Compiles a signature before its first run: a compiler that tries kernels on the device needs memory there, which weights will fill. Left
   * out: compiling takes nothing of the device.
   */
  readonly compileAhead?: (signature: string) => Promise<void>;
  dispose(): Promise<void>;
}

/** @throws EngineError for a program that runs on several devices at the same time, of an engine that runs on one */
export function requireOneDevice({ signatures }: Program): void {
  const [name, signature] = Object.entries(signatures).find(([, { replicas = 1 }]) => replicas > 1) ?? [];
  if (signature) throw new EngineError(`${name} runs on ${signature.replicas} devices at the same time, and this engine on one`);
}

/** The engine is missing, broken, or was asked for something it cannot do; the message says which command fixes it. */
export class EngineError extends Error {
  override name = 'EngineError';
}
