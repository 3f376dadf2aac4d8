/** state.json of a run folder: the progress of the run, for observers. */
import { open, readdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { ownIdentity, type ProcessIdentity } from '../machine/process-identity.ts';
import { codeOf } from '../protocol/error-facts.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { RUN_FILES, STATE_FILE } from '../protocol/run/run-files.ts';
import { namingFullDisk } from '../run-error.ts';
import { worksIn } from './run-lock.ts';

const stateSchema = z.object({
  state: z.enum(['preparing', 'running', 'stopped', 'finished', 'failed']),
  /** The reason why it stopped or failed. */
  reason: z.string().optional(),
  name: z.string(),
  /** The method in the recipe; missing in runs of older versions. */
  method: z.string().optional(),
  trains: z.string().optional(),
  task: z.string().optional(),
  step: z.number(),
  totalSteps: z.number(),
  epoch: z.number().optional(),
  /** The loss in the newest metrics line that has one. */
  loss: z.number().optional(),
  /** The newest values by their names in metrics.jsonl: loss, eval_loss, eval_accuracy …; missing in runs of older versions. */
  metrics: z.record(z.string(), z.number()).optional(),
  pid: z.number(),
  startTime: z.string().optional(),
  bootId: z.string().optional(),
  /** The name of the machine; missing in runs of older versions. */
  host: z.string().optional(),
  startedAt: z.string(),
  updatedAt: z.string(),
});

export type RunState = z.infer<typeof stateSchema>;

/** Milliseconds between writes that only update numbers, because every write flushes to disk. */
const WRITE_INTERVAL_MS = 1000;

/** Reads the state; undefined if it does not exist or cannot be parsed. */
export async function readRunState(runDir: string): Promise<RunState | undefined> {
  try {
    return stateSchema.parse(JSON.parse(await readRegularText(path.join(runDir, STATE_FILE), MAX_STATE_BYTES)));
  } catch {
    return undefined;
  }
}

/** A run on another machine, whose processes cannot be checked from here, counts as running for this long after its last update. */
const QUIET_SECONDS = 300;

/** Seconds since the last update of a run. */
export const ageOf = ({ updatedAt }: Pick<RunState, 'updatedAt'>, now = Date.now()): number =>
  Math.max(0, (now - Date.parse(updatedAt)) / 1000);

/** True if the process of a run is working on it, as far as this can be known for another machine. */
export function isAtWork(runDir: string, state: RunState, now = Date.now()): boolean {
  if (!isActive(state.state)) return false;
  const isElsewhere = state.host !== undefined && state.host !== os.hostname();
  return isElsewhere ? ageOf(state, now) < QUIET_SECONDS : worksIn(runDir, state);
}

/**
 * True for a run that ended, or was killed, without a checkpoint and before its first update (as far as its state shows, which is written
 * once a second). It cannot be resumed and has no results, so another run may take its folder.
 */
export async function endedBeforeFirstStep(runDir: string): Promise<boolean> {
  const state = await readRunState(runDir);
  if (state === undefined || state.step > 0 || state.state === 'finished') return false;
  // A job that a cluster restarts on another machine continues in its folder at once.
  if (isActive(state.state) && worksIn(runDir, state)) return false;
  const names = await readdir(path.join(runDir, RUN_FILES.checkpoints)).catch((error: unknown): string[] => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  // Half-written files of a killed process have hidden names.
  return names.every(name => name.startsWith('.'));
}

/** Maintains the state of the run that this process works on. */
export class StateKeeper {
  private readonly file: string;
  private current: RunState;
  private writtenMs = Number.NEGATIVE_INFINITY;

  constructor(
    runDir: string,
    start: Pick<RunState, 'name' | 'startedAt'> &
      Partial<Pick<RunState, 'method' | 'trains' | 'task' | 'step' | 'totalSteps' | 'epoch' | 'loss' | 'metrics'>>,
  ) {
    this.file = path.join(runDir, STATE_FILE);
    const identity: ProcessIdentity = ownIdentity();
    const host = os.hostname();
    this.current = { state: 'preparing', step: 0, totalSteps: 0, updatedAt: start.startedAt, ...identity, host, ...start };
  }

  get state(): RunState {
    return this.current;
  }

  /** Updates the state; writes at once if the state itself changes. */
  async update(change: Partial<Omit<RunState, 'pid' | 'startTime' | 'bootId' | 'host' | 'startedAt' | 'updatedAt'>>): Promise<void> {
    const nowMs = performance.now();
    const isDue = change.state !== undefined || nowMs - this.writtenMs >= WRITE_INTERVAL_MS;
    this.current = { ...this.current, ...change, updatedAt: new Date().toISOString() };
    if (!isDue) return;
    this.writtenMs = nowMs;
    await this.write();
  }

  private async write(): Promise<void> {
    try {
      await writeJson(this.file, this.current);
    } catch (error) {
      const named = namingFullDisk(error, this.file);
      if (named === error) throw error;
      await overwrite(this.file, `${JSON.stringify(this.current, null, 2)}\n`).catch(() => {
        throw named;
      });
    }
  }
}

/** Overwrites the file in place: on a full disk, its block can still hold the new state, which contains the reason for the failure. */
async function overwrite(file: string, text: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(text, 0);
    await handle.truncate(Buffer.byteLength(text));
  } finally {
    await handle.close();
  }
}
