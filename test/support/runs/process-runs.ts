/** Trains runs of one and of several processes, and compares them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openSafetensors } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { required } from '../../../trainer/narrow.ts';
import type { JobContext, JobRequest, WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { listCheckpoints } from '../../../trainer/run/checkpoint/checkpoint-folders.ts';
import { type MetricsLine, readMetrics } from '../../../trainer/run/metrics-file.ts';
import { readRunState } from '../../../trainer/run/run-state.ts';
import { startWorker } from '../daemon/worker.ts';
import { runInProcess } from './run-in-process.ts';

export interface Finished {
  readonly last: WorkerEvent | undefined;
  readonly metrics: readonly MetricsLine[];
}

/** Runs a job in a real worker process, which starts others if the recipe says so. */
export async function runJobOfRun(request: Extract<JobRequest, { runDir: string }>): Promise<Finished> {
  const { last } = await startWorker(request).ended;
  return { last, metrics: await readMetrics(request.runDir) };
}

/** Trains in a worker process, which starts others if the recipe says so. */
export const trainIn = (runDir: string, recipe: Recipe, context: JobContext): Promise<Finished> =>
  runJobOfRun({ kind: 'train', recipe, runDir, context });

/** Returns the step of a run's newest checkpoint. */
export async function savedStep(runDir: string): Promise<number> {
  const newest = (await listCheckpoints(runDir)).at(-1);
  return required(newest, `a checkpoint of ${runDir}`).step;
}

/** Continues a killed run for two updates, however many it had made, and expects its result. */
export async function expectToContinue(runDir: string, context: JobContext): Promise<void> {
  const steps = (await savedStep(runDir)) + 2;
  const { last, metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides: [`max_steps=${steps}`], context });
  expect(last).toMatchObject({ type: 'result', value: { steps } });
  expect(lossesOf(metrics)).toHaveLength(steps);
}

/** Trains in this process, which saves starting one. @throws what ends the run */
export async function trainHere(runDir: string, recipe: Recipe, context: JobContext): Promise<Finished> {
  const { value } = await runInProcess({ kind: 'train', recipe, runDir, context });
  return { last: { type: 'result', value }, metrics: await readMetrics(runDir) };
}

/** Returns the trained tensors of a checkpoint. */
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

/** Returns √Σ(a − b)² / √Σa² over all tensors. */
export function distanceOf(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let [apart, size] = [0, 0];
  for (const [name, values] of a)
    for (const [i, value] of values.entries()) {
      apart += (value - (b.get(name)?.[i] ?? Number.NaN)) ** 2;
      size += value ** 2;
    }
  return Math.sqrt(apart / size);
}

/** Expects these metrics of each line to be equal within the bound, relative to 1 + their size, or missing in both runs. */
export function expectCloseMetrics(
  { metrics: expected }: Finished,
  { metrics: found }: Finished,
  { names, bound }: { readonly names: readonly string[]; readonly bound: number },
): void {
  expect(found.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
  for (const [i, line] of expected.entries())
    for (const name of names) {
      const [one, other] = [line[name], found[i]?.[name]];
      expect(other === undefined, name).toBe(one === undefined);
      if (one !== undefined) expect(Math.abs((other ?? 0) - one), `${name} of step ${line.step}`).toBeLessThan(bound * (1 + Math.abs(one)));
    }
}

export interface SignaledRunParams {
  readonly recipe: Recipe;
  readonly runDir: string;
  readonly context: JobContext;
  readonly signal: NodeJS.Signals;
  /** The rank that receives the signal after the fourth update. */
  readonly victim: 0 | 1;
}

/** Trains a run of two processes, one of which receives a signal, and expects that it ends for this reason, and both processes with it. */
export async function expectLostRank({ recipe, runDir, context, signal, victim }: SignaledRunParams, reason: RegExp): Promise<void> {
  const pidOf = async (folder: string): Promise<number> => required((await readRunState(folder))?.pid, `the process of ${folder}`);
  const send = async (): Promise<readonly number[]> => {
    const pids = await Promise.all([pidOf(runDir), pidOf(join(runDir, 'ranks', 'rank-1'))]);
    process.kill(pids[victim], signal);
    return pids;
  };
  let sent: Promise<readonly number[]> | undefined;
  const run = startWorker({ kind: 'train', recipe, runDir, context }, event => {
    if (event.type === 'metrics' && event.step >= 4) sent ??= send();
  });
  const { last } = await run.ended;
  const pids = (await sent) ?? [];
  const message = expect.stringMatching(reason);
  expect(last).toMatchObject({ type: 'failed', code: 'rank-lost', message, hint: expect.stringContaining('rowtune resume') });
  expect(pids).toHaveLength(2);
  for (const pid of pids) await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
}

/** Returns the training losses, in order. */
export const lossesOf = (metrics: readonly MetricsLine[]): number[] => metrics.flatMap(({ loss }) => loss ?? []);
