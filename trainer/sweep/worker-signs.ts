/**
 * Signs of life of the workers of a sweep: each writes a small file again and again with a number that grows. Whoever
 * has seen the same number for too long takes the worker for lost. Only the reader's own clock counts, so the machines
 * need not agree on the time.
 */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';

const signSchema = z.object({
  /** Grows with each sign. */
  beat: z.int().nonnegative(),
  /** The name of its machine. */
  node: z.string(),
  log: z.string().optional(),
  /** The worker has ended by itself. */
  ended: z.boolean(),
});

export type WorkerSign = Readonly<z.infer<typeof signSchema>>;

export const signFile = (sweepDir: string, worker: string): string => path.join(sweepDir, SWEEP_FILES.workers, `${worker}.json`);

export async function writeSign(sweepDir: string, worker: string, sign: WorkerSign): Promise<void> {
  await mkdir(path.join(sweepDir, SWEEP_FILES.workers), { recursive: true });
  await writeJson(signFile(sweepDir, worker), sign);
}

/** Undefined if there is none, or it can't be read. */
export async function readSign(sweepDir: string, worker: string): Promise<WorkerSign | undefined> {
  try {
    return signSchema.parse(JSON.parse(await readRegularText(signFile(sweepDir, worker), MAX_STATE_BYTES)));
  } catch {
    return undefined;
  }
}

/** The newest sign of every worker that there was. */
export async function readSigns(sweepDir: string): Promise<ReadonlyMap<string, WorkerSign>> {
  const names = await readdir(path.join(sweepDir, SWEEP_FILES.workers)).catch((): string[] => []);
  const workers = names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length));
  const signs = await Promise.all(workers.map(async worker => [worker, await readSign(sweepDir, worker)] as const));
  return new Map(signs.flatMap(([worker, sign]) => (sign === undefined ? [] : [[worker, sign]])));
}

/** Decides which workers are lost. */
export class SignWatch {
  private readonly lostAfterMs: number;
  private readonly seen = new Map<string, { readonly beat: number; readonly sinceMs: number }>();

  constructor(lostAfterMs: number) {
    this.lostAfterMs = lostAfterMs;
  }

  /**
   * Returns whether a worker is lost by what was seen of it until now.
   * @param sign its newest one; undefined counts as one that never grows
   * @param nowMs of this process's clock, which never goes back
   */
  isLost(worker: string, sign: WorkerSign | undefined, nowMs: number): boolean {
    if (sign?.ended) return true;
    const beat = sign?.beat ?? -1;
    const before = this.seen.get(worker);
    if (before?.beat === beat) return nowMs - before.sinceMs >= this.lostAfterMs;
    this.seen.set(worker, { beat, sinceMs: nowMs });
    return false;
  }
}
