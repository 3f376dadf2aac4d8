/** Opens the folder of a sweep: takes its lock, and writes its plan or reads the existing one. */
import path from 'node:path';
import { removeHalfWritten } from '../files/durable-file.ts';
import { makeFolder } from '../files/durable-folder.ts';
import type { JobScope } from '../job/job-scope.ts';
import type { RecipeSource } from '../protocol/messages/job-messages.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';
import { counted } from '../protocol/text/format.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { takeRunLock } from '../run/run-lock.ts';
import { writeNewPlan } from './create-sweep.ts';
import { planParallel } from './plan-parallel.ts';
import { noSweep, readPlan, type SweepPlan } from './sweep-plan.ts';

export interface OpenSweepParams extends JobScope {
  readonly sweepDir: string;
  /** The recipe of a new sweep. */
  readonly source?: RecipeSource;
}

export interface OpenedSweep {
  readonly plan: SweepPlan;
  readonly release: () => void;
}

/**
 * Opens a sweep.
 * @throws RunError 'bad-sweep' if there is no plan, or the values of a run are invalid; 'output-not-empty' if a new sweep's folder is not
 * empty; 'run-busy' if another process works in it
 */
export async function openSweep(params: OpenSweepParams): Promise<OpenedSweep> {
  const { sweepDir, source, job } = params;
  if (source === undefined && (await readPlan(sweepDir)) === undefined) throw noSweep(sweepDir);
  await requireUsableOutput(sweepDir);
  await makeFolder(sweepDir);
  const release = takeRunLock(sweepDir, message => job.log('warning', message));
  try {
    await removeHalfWritten(sweepDir, name => Object.values<string>(SWEEP_FILES).includes(name));
    const plan = source === undefined ? await readPlan(sweepDir) : await newPlan(params, source);
    if (plan === undefined) throw noSweep(sweepDir);
    job.logTo(path.join(sweepDir, SWEEP_FILES.log));
    return { plan, release };
  } catch (error) {
    release();
    throw error;
  }
}

async function newPlan({ sweepDir, context, job }: OpenSweepParams, source: RecipeSource): Promise<SweepPlan> {
  job.phase('plan', 'planning the sweep');
  const plan = await writeNewPlan(sweepDir, source, (recipes, wanted) => planParallel({ recipes, wanted, context, job }));
  job.log('info', `${counted(plan.runs.length, 'run')} (${plan.strategy}), compared by ${plan.metric}`);
  return plan;
}
