/** The GPUs of each run of a sweep: as many as it has processes, of those that the fewest other runs use. */
import process from 'node:process';
import { countGpus, visibleGpus } from '../engine/mpi/rank-gpu.ts';

/** The GPUs that the runs of a sweep share, as CUDA_VISIBLE_DEVICES names them. */
export const sweepGpus = (): readonly string[] => visibleGpus(process.env, countGpus());

export class GpuShares {
  /** The number of runs that use each. */
  private readonly runs: Map<string, number>;

  constructor(gpus: readonly string[]) {
    this.runs = new Map(gpus.map(gpu => [gpu, 0]));
  }

  /** The GPUs for a run with so many processes; undefined where there is nothing to choose. */
  take(processes: number): readonly string[] | undefined {
    if (this.runs.size < 2) return undefined;
    const byUse = [...this.runs].sort(([, a], [, b]) => a - b).map(([gpu]) => gpu);
    const taken = byUse.slice(0, processes);
    this.count(taken, 1);
    return taken;
  }

  /** A run with these GPUs has ended. */
  giveBack(gpus: readonly string[] | undefined): void {
    this.count(gpus ?? [], -1);
  }

  private count(gpus: readonly string[], change: 1 | -1): void {
    for (const gpu of gpus) this.runs.set(gpu, (this.runs.get(gpu) ?? 0) + change);
  }
}
