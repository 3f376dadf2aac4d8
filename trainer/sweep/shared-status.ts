/** The state of a sweep that is trained by workers on several machines, from its journal and their signs of life. */
import { stat } from 'node:fs/promises';
import { mapAtOnce } from '../machine/map-at-once.ts';
import type { SweepRun, SweepRunState, SweepStatus } from '../protocol/run/sweep.ts';
import { readRunState } from '../run/run-state.ts';
import { statusOf } from './status-of.ts';
import type { Part, SweepJournal } from './sweep-journal.ts';
import { type PlannedRun, RUNS_AT_ONCE, runFolder, type SweepPlan } from './sweep-plan.ts';
import { readSigns, signFile, type WorkerSign } from './worker-signs.ts';

export async function sharedStatus(sweepDir: string, plan: SweepPlan, journal: SweepJournal): Promise<SweepStatus> {
  const signs = await readSigns(sweepDir);
  const alive = await aliveWorkers(sweepDir, plan, signs);
  const newest = new Map<number, Readonly<Part>>();
  const results = new Map<number, Readonly<Part>>();
  for (const part of journal.parts) {
    newest.set(part.segment.run, part);
    if (part.result !== undefined) results.set(part.segment.run, part);
  }
  const runs = await mapAtOnce(plan.runs, RUNS_AT_ONCE, (run, index) => {
    const part = newest.get(index);
    const isRunning = part?.holder !== undefined && alive.has(part.holder);
    const worker = part?.holder ?? results.get(index)?.result?.worker;
    return runOf({
      sweepDir,
      run,
      part,
      done: results.get(index),
      isRunning,
      sign: worker === undefined ? undefined : signs.get(worker),
    });
  });
  const isDone = journal.propose('').kind === 'done';
  return statusOf({ sweepDir, plan, runs, state: isDone ? 'finished' : alive.size > 0 ? 'running' : 'stopped' });
}

/** Returns the workers whose newest sign is recent by the disk's clock, which is accurate enough for a table. */
async function aliveWorkers(sweepDir: string, plan: SweepPlan, signs: ReadonlyMap<string, WorkerSign>): Promise<ReadonlySet<string>> {
  const lostAfterMs = 1000 * (plan.workers?.lostAfterSeconds ?? 0);
  const found = await Promise.all(
    [...signs].map(async ([worker, { ended }]): Promise<readonly string[]> => {
      if (ended) return [];
      const seen = await stat(signFile(sweepDir, worker)).catch(() => undefined);
      return seen !== undefined && Date.now() - seen.mtimeMs < lostAfterMs ? [worker] : [];
    }),
  );
  return new Set(found.flat());
}

interface RunParts {
  readonly sweepDir: string;
  readonly run: PlannedRun;
  /** The newest part that was started. */
  readonly part: Readonly<Part> | undefined;
  /** The newest part with a result. */
  readonly done: Readonly<Part> | undefined;
  readonly isRunning: boolean;
  /** The newest sign of the worker that holds the part, or held it last. */
  readonly sign: WorkerSign | undefined;
}

async function runOf({ sweepDir, run: { id, settings }, part, done, isRunning, sign }: RunParts): Promise<SweepRun> {
  const runDir = runFolder(sweepDir, { id });
  const { value, failure, evaluations = 0, step = 0, totalSteps = 0, loss } = done?.result ?? {};
  const state = isRunning ? 'running' : stateOf(part, done);
  const now = isRunning ? await readRunState(runDir) : undefined;
  return {
    id,
    runDir,
    settings,
    state,
    value,
    evaluations,
    step: Math.max(step, now?.step ?? 0),
    totalSteps: now?.totalSteps ?? totalSteps,
    loss: now?.loss ?? loss,
    failure: failure ?? openProblem(part),
    node: sign?.node,
    log: sign?.log,
  };
}

/** Returns why a part waits for another worker; once a worker has taken it, its earlier problems no longer matter. */
const openProblem = (part: Readonly<Part> | undefined): string | undefined =>
  part?.holder === undefined && part?.result === undefined ? part?.problems.at(-1) : undefined;

function stateOf(part: Readonly<Part> | undefined, done: Readonly<Part> | undefined): SweepRunState {
  if (part === undefined) return 'waiting';
  if (done?.result?.failure !== undefined) return 'failed';
  return done?.result?.ended && done === part ? 'finished' : 'paused';
}
