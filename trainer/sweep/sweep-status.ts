/** The state of a sweep, read from its folder during or after the sweep. */

import path from 'node:path';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';
import { lockHolder } from '../machine/process-lock.ts';
import { isRecord } from '../narrow.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { metricKey, SWEEP_FILES, type SweepRun, type SweepRunState, type SweepStatus } from '../protocol/run/sweep.ts';
import { summarizeRun } from '../run/run-folder.ts';
import { LOCK_FILE } from '../run/run-lock.ts';
import { isFinishedSweep } from '../run/sweep-folder.ts';
import { JournalFolder } from './journal-folder.ts';
import { readEvaluations } from './segment-result.ts';
import { sharedStatus } from './shared-status.ts';
import { statusOf } from './status-of.ts';
import { type PlannedRun, RUNS_AT_ONCE, readPlan, runFolder, type SweepPlan } from './sweep-plan.ts';

/** Reads the state; undefined if the folder is not that of a sweep. @throws RunError 'bad-sweep' if its plan is damaged */
export async function readSweep(sweepDir: string): Promise<SweepStatus | undefined> {
  const plan = await readPlan(sweepDir);
  if (plan === undefined) return undefined;
  if (plan.workers !== undefined) return sharedStatus(sweepDir, plan, (await JournalFolder.open(sweepDir, plan)).journal);
  const failures = await readFailures(sweepDir);
  const runs = await mapAtOnce(plan.runs, RUNS_AT_ONCE, run => readRun(sweepDir, plan, run, failures.get(run.id)));
  const isFinished = isFinishedSweep(sweepDir);
  const isRunning = lockHolder(path.join(sweepDir, LOCK_FILE)) !== undefined;
  return statusOf({ sweepDir, plan, runs, state: isRunning ? 'running' : isFinished ? 'finished' : 'stopped' });
}

async function readRun(sweepDir: string, { metric }: SweepPlan, run: PlannedRun, failure: string | undefined): Promise<SweepRun> {
  const runDir = runFolder(sweepDir, run);
  const { id, settings } = run;
  const found = await summarizeRun(runDir);
  if (found === undefined)
    return { id, runDir, settings, state: failure ? 'failed' : 'waiting', evaluations: 0, step: 0, totalSteps: 0, failure };
  const key = metricKey(metric);
  const evaluations = await readEvaluations(runDir, key);
  const value = found.state === 'finished' ? found.metrics?.[key] : evaluations.at(-1);
  const { step, totalSteps, loss } = found;
  return {
    id,
    runDir,
    settings,
    state: stateOf(found.state, failure),
    value,
    evaluations: evaluations.length,
    step,
    totalSteps,
    loss,
    failure,
  };
}

function stateOf(state: string, failure: string | undefined): SweepRunState {
  if (failure !== undefined) return 'failed';
  if (state === 'finished') return 'finished';
  return isActive(state) ? 'running' : 'paused';
}

/** Returns the runs that can't be completed, by id, with the reason. */
export async function readFailures(sweepDir: string): Promise<ReadonlyMap<string, string>> {
  const text = await readRegularText(path.join(sweepDir, SWEEP_FILES.failures), MAX_STATE_BYTES).catch(() => '');
  const found = text.split('\n').flatMap((line): (readonly [string, string])[] => {
    try {
      const found: unknown = JSON.parse(line);
      if (!isRecord(found) || typeof found.run !== 'string' || typeof found.message !== 'string') return [];
      return [[found.run, found.message]];
    } catch {
      // The last line of a killed process may be incomplete: that run is tried again.
      return [];
    }
  });
  return new Map(found);
}
