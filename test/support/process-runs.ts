/** Runs of one and of several processes, to be compared. */
import { join } from 'node:path';
import { openSafetensors } from '../../trainer/format/safetensors/safetensors-source.ts';
import type { JobContext, JobRequest, WorkerEvent } from '../../trainer/protocol/job-messages.ts';
import type { Recipe } from '../../trainer/protocol/recipe-schema.ts';
import { type MetricsLine, readMetrics } from '../../trainer/run/metrics-file.ts';
import { startWorker } from './worker.ts';

export interface Finished {
  readonly last: WorkerEvent | undefined;
  readonly metrics: readonly MetricsLine[];
}

/** Runs a job in a real worker process, which starts others if the recipe says so. */
export async function runJobOfRun(request: Extract<JobRequest, { runDir: string }>): Promise<Finished> {
  const { last } = await startWorker(request).ended;
  return { last, metrics: await readMetrics(request.runDir) };
}

export const trainIn = (runDir: string, recipe: Recipe, context: JobContext): Promise<Finished> =>
  runJobOfRun({ kind: 'train', recipe, runDir, context });

/** The trained tensors of a checkpoint. */
export async function trainedTensors(runDir: string, step: number): Promise<Map<string, Float32Array>> {
  const source = await openSafetensors(join(runDir, 'checkpoints', `step-${String(step).padStart(6, '0')}`, 'adapter_model.safetensors'));
  try {
    const tensors = new Map<string, Float32Array>();
    for (const [name, { dtype }] of source.tensors) if (dtype === 'F32') tensors.set(name, await source.readFloat32(name));
    return tensors;
  } finally {
    await source.close();
  }
}

/** √Σ(a − b)² / √Σa² over all tensors. */
export function distanceOf(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let [apart, size] = [0, 0];
  for (const [name, values] of a)
    for (const [i, value] of values.entries()) {
      apart += (value - (b.get(name)?.[i] ?? Number.NaN)) ** 2;
      size += value ** 2;
    }
  return Math.sqrt(apart / size);
}

/** The training losses, in order. */
export const lossesOf = (metrics: readonly MetricsLine[]): number[] => metrics.flatMap(({ loss }) => loss ?? []);
