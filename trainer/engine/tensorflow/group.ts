/** The processes of a run, through the MPI library that the kernels opened. */
import { EngineError, type Group } from '../engine.ts';
import { releaseSharedMemory } from '../mpi/shared-memory.ts';
import type { KernelLibrary } from './kernel-library.ts';

/** @throws EngineError if the library does not load, or cannot reach the others */
export function joinGroup(library: string, kernels: KernelLibrary): Group {
  const { problem, rank, size } = kernels.joinGroup(library);
  if (problem !== '') throw new EngineError(`the processes cannot be connected by ${library}: ${problem}`);
  const gatherEqual = (bytes: Uint8Array): Uint8Array => {
    const all = kernels.gatherFromRanks(bytes);
    if (typeof all === 'string') throw new EngineError(all);
    return all;
  };
  // All have opened it.
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
    watch: (folder, seconds) => kernels.watchGroup(folder, seconds),
    fail: reason => kernels.failGroup(reason.replaceAll('\n', ' ')),
    failure: () => kernels.groupFailure() || undefined,
    counts: () => kernels.groupCounts(),
    residuals: {
      names: () => kernels.residualNames(),
      read: name => {
        const values = kernels.readResidual(name);
        if (typeof values === 'string') throw new EngineError(values);
        return values;
      },
      write: (name, values) => kernels.writeResidual(name, values),
    },
    leave: () => kernels.leaveGroup(),
  };
}
