/**
 * Signs of life of the workers of a sweep: each repeatedly writes a small file with an increasing number. A process that sees the same
 * number for too long considers the worker lost. Only the reader's own clock matters, so the machines need not agree on the time.
 */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';

/** Number of signs that are read at the same time. */
const SIGNS_AT_ONCE = 16;

const signSchema = z.object({
  /** Increases with each sign. */
  beat: z.int().nonnegative(),
  /** Name of its machine. */
  node: z.string(),
  log: z.string().optional(),
  /** True if the worker has ended by itself. */
  ended: z.boolean(),
});

export type WorkerSign = Readonly<z.infer<typeof signSchema>>;

export const signFile = (sweepDir: string, worker: string): string => path.join(sweepDir, SWEEP_FILES.workers, `${worker}.json`);

export async function writeSign(sweepDir: string, worker: string, sign: WorkerSign): Promise<void> {
  await mkdir(path.join(sweepDir, SWEEP_FILES.workers), { recursive: true });
  await writeJson(signFile(sweepDir, worker), sign);
}

/** Reads a sign; undefined if there is none, or it can't be read. */
export async function readSign(sweepDir: string, worker: string): Promise<WorkerSign | undefined> {
  try {
    return signSchema.parse(JSON.parse(await readRegularText(signFile(sweepDir, worker), MAX_STATE_BYTES)));
  } catch {
    return undefined;
  }
}

/** Returns the newest sign of every worker, present or past. */
export async function readSigns(sweepDir: string): Promise<ReadonlyMap<string, WorkerSign>> {
  const names = await readdir(path.join(sweepDir, SWEEP_FILES.workers)).catch((): string[] => []);
  const workers = names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length));
  const signs = await mapAtOnce(workers, SIGNS_AT_ONCE, async worker => [worker, await readSign(sweepDir, worker)] as const);
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
   * Returns whether a worker is lost, judging by its signs until now.
   * @param sign its newest sign; undefined counts as one that never increases
   * @param nowMs of this process's monotonic clock
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
