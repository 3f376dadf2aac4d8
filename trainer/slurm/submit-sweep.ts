/**
 * Submits a sweep to Slurm as a job array: its tasks are workers that share the sweep's folder. No part of it runs where it is submitted.
 */
import { randomBytes } from 'node:crypto';
import { elementAt } from '../narrow.ts';
import type { RecipeSource } from '../protocol/messages/rpc-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { freeSweepFolder } from '../run/free-run-folder.ts';
import { requireTypedCommand } from '../run/typed-command.ts';
import { RunError } from '../run-error.ts';
import { createSharedSweep } from '../sweep/create-sweep.ts';
import { JournalFolder } from '../sweep/journal-folder.ts';
import { noSweep, readPlan, runRecipe, type SweepPlan } from '../sweep/sweep-plan.ts';
import { slurmFiles, sweepScript, taskName } from './job-script.ts';
import type { SlurmProfile } from './profile.ts';
import { requireNoJob, type SubmitOptions, submitScript } from './submit-script.ts';

export interface SubmittedSweep {
  /** Id of the job array. */
  readonly jobId: string;
  readonly sweepDir: string;
  readonly runs: number;
  readonly workers: number;
  /** Number of processes of each run. */
  readonly processes: number;
}

export interface NewSweep {
  readonly recipe: Recipe;
  readonly source: RecipeSource;
  /** Overrides of every run that are not in the source. */
  readonly fixed: readonly string[];
  /** Folders of queued runs, by their real paths. */
  readonly taken?: ReadonlySet<string>;
}

/**
 * Plans a sweep of a recipe and submits it.
 * @throws RunError 'bad-sweep', 'output-not-empty', 'run-busy'; 'bad-profile' for a profile with several nodes; 'unsupported' for a
 * transport that opens ports; 'slurm-failed' if Slurm rejects it
 */
export async function submitNewSweep({ recipe, source, fixed, taken }: NewSweep, options: SubmitOptions): Promise<SubmittedSweep> {
  const { profile, opensPorts } = options;
  requireOneNode(profile);
  requireTypedCommand(recipe.process_transport, { opensPorts });
  const sweepDir = await freeSweepFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir, taken });
  await requireNoJob(sweepDir);
  const { cpus_per_task: cpus, tasks_per_node: processes, workers: parallel, lost_after_seconds: lostAfterSeconds } = profile;
  const own = [
    ...fixed,
    // As with a single run, each run has the number of processes that the profile requests.
    ...(processes === recipe.processes ? [] : [`processes=${processes}`]),
    // Slurm does not necessarily hide a node's other cores from a job.
    ...(cpus === undefined || recipe.threads > 0 ? [] : [`threads=${cpus}`]),
  ];
  const plan = await createSharedSweep({ sweepDir, source, parallel, lostAfterSeconds, fixed: own });
  return submit(sweepDir, plan, options);
}

/** Submits workers for the rest of a sweep. @throws RunError as `submitNewSweep` */
export async function submitRestOfSweep(sweepDir: string, options: SubmitOptions): Promise<SubmittedSweep> {
  const { profile, opensPorts } = options;
  const plan = await readPlan(sweepDir);
  if (plan === undefined) throw noSweep(sweepDir);
  if (plan.workers === undefined)
    throw new RunError(
      'bad-sweep',
      `one process trains the runs of ${sweepDir}, not workers of a cluster`,
      `Continue it without --on: rowtune sweep ${shellWord(sweepDir)}`,
    );
  await requireNoJob(sweepDir);
  requireOneNode(profile);
  const { processes, process_transport: transport } = runRecipe(plan, elementAt(plan.runs, 0));
  requireTypedCommand(transport, { opensPorts });
  if (profile.tasks_per_node !== processes)
    throw new RunError(
      'bad-profile',
      `each run of ${sweepDir} trains in ${processes === 1 ? 'one process' : `${processes} processes`}, and the profile asks for ${profile.tasks_per_node}`,
      `Set tasks_per_node to ${processes}`,
    );
  await restart(sweepDir, plan);
  return submit(sweepDir, plan, options);
}

/** Checks the profile: a worker starts the processes of its run itself, on its own node. @throws RunError 'bad-profile' */
function requireOneNode({ nodes }: SlurmProfile): void {
  if (nodes === 1) return;
  throw new RunError(
    'bad-profile',
    `a sweep trains each of its runs on one node, and the profile asks for ${nodes}`,
    'Set nodes to 1, tasks_per_node to the processes of a run, and workers to the number of runs at a time',
  );
}

/** Returns all parts that the workers of the last job had: according to Slurm, none of those workers is left. */
async function restart(sweepDir: string, plan: SweepPlan): Promise<void> {
  const folder = await JournalFolder.open(sweepDir, plan);
  const worker = `submit-${randomBytes(4).toString('hex')}`;
  while (!(await folder.add({ kind: 'restart', worker }))) await folder.read();
}

async function submit(sweepDir: string, plan: SweepPlan, { profile, command }: SubmitOptions): Promise<SubmittedSweep> {
  const files = slurmFiles(sweepDir);
  const workers = plan.parallel;
  const script = sweepScript({ profile, name: plan.name, sweepDir, files, tasks: workers, command });
  const jobId = await submitScript({ folder: sweepDir, script, logName: taskName('%A', '%a') });
  return { jobId, sweepDir, runs: plan.runs.length, workers, processes: profile.tasks_per_node };
}
