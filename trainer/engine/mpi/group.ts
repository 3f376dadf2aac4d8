/** The processes of a run, connected by the MPI library that an engine's addon opens. */
import { EngineError, type ExchangeCounts, type Group } from '../engine.ts';
import { releaseSharedMemory } from './shared-memory.ts';

/** The group functions of every addon that sums over the ranks of a run: `native/group-addon.cc`. */
export interface GroupAddon {
  joinGroup(library: string): { readonly problem: string; readonly rank: number; readonly size: number };
  leaveGroup(): void;
  watchGroup(folder: string, seconds: number): void;
  failGroup(reason: string): void;
  groupFailure(): string;
  groupCounts(): ExchangeCounts;
  /** Gathers bytes from all ranks. @returns the bytes, or the problem as a string */
  gatherFromRanks(bytes: Uint8Array): Uint8Array | string;
  residualNames(): readonly string[];
  /** Reads a residual. @returns the values, or the problem as a string */
  readResidual(name: string): Float32Array | string;
  writeResidual(name: string, values: Float32Array): void;
}

/** Joins the other processes. @throws EngineError if the library does not load or cannot reach them */
export function joinGroup(library: string, addon: GroupAddon): Group {
  const { problem, rank, size } = addon.joinGroup(library);
  if (problem !== '') throw new EngineError(`the processes cannot be connected by ${library}: ${problem}`);
  const gatherEqual = (bytes: Uint8Array): Uint8Array => {
    const all = addon.gatherFromRanks(bytes);
    if (typeof all === 'string') throw new EngineError(all);
    return all;
  };
  // All processes have opened the shared memory by now.
  gatherEqual(new Uint8Array(1));
  releaseSharedMemory();
  return {
    rank,
    size,
    gather: bytes => {
      const lengths = new Float64Array(gatherEqual(new Uint8Array(Float64Array.of(bytes.length).buffer)).buffer);
      const longest = Math.max(1, ...lengths);
      const padded = new Uint8Array(longest);
      padded.set(bytes);
      const all = gatherEqual(padded);
      return [...lengths].map((length, i) => all.slice(i * longest, i * longest + length));
    },
    watch: (folder, seconds) => addon.watchGroup(folder, seconds),
    fail: reason => addon.failGroup(reason.replaceAll('\n', ' ')),
    failure: () => addon.groupFailure() || undefined,
    counts: () => addon.groupCounts(),
    residuals: {
      names: () => addon.residualNames(),
      read: name => {
        const values = addon.readResidual(name);
        if (typeof values === 'string') throw new EngineError(values);
        return values;
      },
      write: (name, values) => addon.writeResidual(name, values),
    },
    leave: () => addon.leaveGroup(),
  };
}
