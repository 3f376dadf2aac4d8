/** Assigns GPUs to the runs of a sweep: each run gets as many as it has processes, those that the fewest other runs use. */
import process from 'node:process';
import { countGpus, visibleGpus } from '../engine/mpi/rank-gpu.ts';

/** Returns the GPUs that the runs of a sweep share, in the notation of CUDA_VISIBLE_DEVICES. */
export const sweepGpus = (): readonly string[] => visibleGpus(process.env, countGpus());

export class GpuShares {
  /** Number of runs that use each GPU. */
  private readonly runs: Map<string, number>;

  constructor(gpus: readonly string[]) {
    this.runs = new Map(gpus.map(gpu => [gpu, 0]));
  }

  /** Returns the GPUs for a run with this many processes; undefined if there is no choice. */
  take(processes: number): readonly string[] | undefined {
    if (this.runs.size < 2) return undefined;
    const byUse = [...this.runs].sort(([, a], [, b]) => a - b).map(([gpu]) => gpu);
    const taken = byUse.slice(0, processes);
    this.count(taken, 1);
    return taken;
  }

  /** Releases the GPUs of a run that has ended. */
  giveBack(gpus: readonly string[] | undefined): void {
    this.count(gpus ?? [], -1);
  }

  private count(gpus: readonly string[], change: 1 | -1): void {
    for (const gpu of gpus) this.runs.set(gpu, (this.runs.get(gpu) ?? 0) + change);
  }
}
