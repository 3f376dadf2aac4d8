/** A sweep as a job array of Slurm: its tasks are workers that share the sweep's folder. Nothing of it runs on the login node. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { required } from '../narrow.ts';
import { compact, counted } from '../protocol/format.ts';
import { metricKey, type SweepStatus } from '../protocol/sweep.ts';
import { freeSweepFolder } from '../run/free-run-folder.ts';
import { jobContext } from '../settings.ts';
import { slurmFiles, slurmLog, sweepScript, taskName } from '../slurm/job-script.ts';
import type { SlurmProfile } from '../slurm/profile.ts';
import { findTasks, isAlive, type SlurmJob, shownState } from '../slurm/slurm.ts';
import { stopSubmission } from '../slurm/stop-submission.ts';
import { readSubmission } from '../slurm/submission.ts';
import { createSharedSweep } from '../sweep/create-sweep.ts';
import { JournalFolder } from '../sweep/journal-folder.ts';
import { sharedStatus } from '../sweep/shared-status.ts';
import { readPlan, type SweepPlan } from '../sweep/sweep-plan.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { engineOverrides, shownPath } from './job-command.ts';
import { readRecipe } from './read-recipe.ts';
import { runWorker } from './run-worker.ts';
import { ownCommand, profileOf, type SlurmOptions, submitScript } from './slurm-submit.ts';
import { silent, untilEnded } from './slurm-watch.ts';
import { countStates } from './sweep-table.ts';

/** Shows the table of a sweep. */
export type ShowSweep = (status: SweepStatus) => Promise<CommandResult>;

/** Plans a sweep of a recipe and submits it. @throws CliError for a bad recipe; RunError for a bad plan or profile, or a Slurm that refuses it */
export async function sweepOnSlurm(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  options: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const sweepDir = await freeSweepFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
  const profile = await sweepProfile(context, source.baseDir, options);
  const { cpus_per_task: cpus, workers: parallel, lost_after_seconds: lostAfterSeconds } = profile;
  const fixed = [
    ...engineOverrides(context, recipe),
    // Slurm need not hide the other cores of a node.
    ...(cpus === undefined || recipe.threads > 0 ? [] : [`threads=${cpus}`]),
  ];
  const plan = await createSharedSweep({ sweepDir, source, parallel, lostAfterSeconds, fixed });
  return submit(context, { sweepDir, plan, profile }, options, show);
}

/** Submits workers for the rest of a sweep. @throws CliError if workers of it are in the queue; RunError as `sweepOnSlurm` */
export async function continueSweepOnSlurm(
  context: CommandContext,
  sweepDir: string,
  options: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const plan = required(await readPlan(sweepDir), `the plan of ${sweepDir}`);
  if (plan.workers === undefined)
    throw new CliError('this sweep is trained by one process', {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: `Continue it without --on: rowtune sweep ${shownPath(sweepDir, context.cwd)}`,
    });
  const before = await readSubmission(sweepDir);
  if (before !== undefined && (await findTasks(before.id)).some(isAlive))
    throw new CliError(`job ${before.id} of Slurm already works on ${shownPath(sweepDir, context.cwd)}`, {
      code: 'run-busy',
      exitStatus: EXIT.usage,
    });
  // Before the journal changes: a bad profile must leave the sweep as it was.
  const profile = await sweepProfile(context, plan.source.baseDir, options);
  await restart(sweepDir, plan);
  return submit(context, { sweepDir, plan, profile }, options, show);
}

/** Gives back all parts that the workers of the last job had: Slurm knows that none of them is left. */
async function restart(sweepDir: string, plan: SweepPlan): Promise<void> {
  const folder = await JournalFolder.open(sweepDir, plan);
  const worker = `submit-${randomBytes(4).toString('hex')}`;
  while (!(await folder.add({ kind: 'restart', worker }))) await folder.read();
}

/** @throws RunError for a bad profile; CliError for one with several processes */
async function sweepProfile(context: CommandContext, folder: string, options: SlurmOptions): Promise<SlurmProfile> {
  const profile = await profileOf(context, folder, options);
  if (profile.nodes * profile.tasks_per_node === 1) return profile;
  throw new CliError('a sweep trains each of its runs in one process, and the profile asks for several', {
    code: 'bad-profile',
    hint: 'Set nodes and tasks_per_node to 1, and workers to the number of runs at a time',
  });
}

interface SubmittedSweep {
  readonly sweepDir: string;
  readonly plan: SweepPlan;
  readonly profile: SlurmProfile;
}

async function submit(
  context: CommandContext,
  { sweepDir, plan, profile }: SubmittedSweep,
  { detach }: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const files = slurmFiles(sweepDir);
  const tasks = plan.parallel;
  const script = sweepScript({ profile, name: plan.name, sweepDir, files, tasks, command: ownCommand(), again: EXIT.again });
  const id = await submitScript({ folder: sweepDir, script, logName: taskName('%A', '%a') });
  const folder = shownPath(sweepDir, cwd);
  terminal.say(
    'info',
    `submitted to Slurm as job array ${id}: ${counted(plan.runs.length, 'run')}, ${counted(tasks, 'worker')}; folder ${folder}`,
  );
  if (!detach) return followSweepOnSlurm(context, sweepDir, id, show);
  terminal.print(
    [
      `  follow  rowtune runs --follow ${folder}`,
      `  table   rowtune sweep ${folder} --status`,
      `  stop    rowtune runs --stop ${folder}`,
      `  cancel  scancel ${id}`,
    ].join('\n'),
  );
  return { value: { ok: true, detached: true, slurmJob: id, sweepDir, runs: plan.runs.length, workers: tasks } };
}

/** Shows how far a sweep is until its job array ends. Ctrl-C ends this command, not the sweep. @throws CliError if it ended unfinished and was not stopped */
export async function followSweepOnSlurm(context: CommandContext, sweepDir: string, id: string, show: ShowSweep): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const plan = required(await readPlan(sweepDir), `the plan of ${sweepDir}`);
  const folder = await JournalFolder.open(sweepDir, plan);
  const look = async (): Promise<SweepStatus> => {
    await folder.read();
    return sharedStatus(sweepDir, plan, folder.journal);
  };
  const hasEnded = await untilEnded(terminal, async say => {
    const tasks = await findTasks(id).catch(silent(say));
    if (tasks === 'unknown') return false;
    say(`job ${id}: ${describeTasks(tasks)}; ${describeSweep(await look())}`);
    return !tasks.some(isAlive);
  });
  if (!hasEnded) {
    terminal.say('info', `job ${id} continues; follow it again with: rowtune runs --follow ${shownPath(sweepDir, cwd)}`);
    return { value: { ok: true, left: true, slurmJob: id, sweepDir } };
  }
  const status = await look();
  const shown = await show(status);
  if (status.state === 'finished' || existsSync(slurmFiles(sweepDir).stop)) return shown;
  throw new CliError(`job ${id} of Slurm has ended, and the sweep is not finished`, {
    code: 'slurm-failed',
    exitStatus: EXIT.failed,
    hint: `The logs of its workers are in ${shownPath(slurmFiles(sweepDir).folder, cwd)}. Continue with: rowtune sweep ${shownPath(sweepDir, cwd)} --on slurm`,
  });
}

/** 12 workers running on n[1-3], 4 pending (Resources) */
function describeTasks(tasks: readonly SlurmJob[]): string {
  const groups = new Map<string, SlurmJob[]>();
  for (const task of tasks) groups.set(task.state, [...(groups.get(task.state) ?? []), task]);
  const texts = [...groups].map(([state, of]) => {
    const details = [...new Set(of.map(({ nodes, reason }) => (state === 'PENDING' ? reason : nodes)))].filter(text => text !== '');
    const where =
      details.length === 0 ? '' : state === 'PENDING' ? ` (${details.join(', ')})` : ` on ${details.slice(0, MOST_NODES).join(', ')}`;
    return `${of.length} ${shownState(state)}${where}`;
  });
  return texts.length === 0 ? 'ended' : `workers ${texts.join(', ')}`;
}

/** More names of nodes do not fit a line. */
const MOST_NODES = 4;

function describeSweep(status: SweepStatus): string {
  const { value } = status.runs.find(run => run.value !== undefined) ?? {};
  return `${countStates(status)}${value === undefined ? '' : `; ${metricKey(status.metric)} ${compact(value)} of the first`}`;
}

/** Lets the workers save and end for good; those that wait leave the queue. @throws CliError if the job has ended */
export async function stopSweepOnSlurm(context: CommandContext, sweepDir: string, id: string, show: ShowSweep): Promise<CommandResult> {
  if ((await stopSubmission(sweepDir, { id }, { save: true })) === 'ended')
    throw new CliError(`job ${id} of Slurm has ended`, { code: 'job-missing', exitStatus: EXIT.usage });
  context.terminal.say('info', 'stopping all workers after their current step and saving');
  return followSweepOnSlurm(context, sweepDir, id, show);
}

/** Works on a sweep until nothing is left for this process. @param label the name of a task of Slurm, or any other */
export async function workAsSweepWorker(
  context: CommandContext,
  sweepDir: string,
  label: string | undefined,
  show: ShowSweep,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const files = slurmFiles(sweepDir);
  const log = label === undefined ? undefined : slurmLog(files, label);
  const worker = { label, log: log !== undefined && existsSync(log) ? log : undefined };
  const request = { kind: 'sweep', context: jobContext(settings, cwd), sweepDir, worker } as const;
  const status = await runWorker({ request, terminal, threads: 1 });
  const { state, progressed } = required(status.worker, 'how the worker ended');
  if (state === 'finished') return show(status);
  const value = { ok: true, sweepDir, worker: state };
  if (state === 'left') {
    terminal.say('info', 'nothing is left for this worker; others train what is left');
    return { value };
  }
  if (!progressed && !existsSync(files.stop))
    throw new CliError('no update was saved since this worker began', {
      code: 'sweep-failed',
      hint: 'Give it more time, or a shorter notice',
    });
  terminal.say('info', 'saved; this worker can be started again');
  return { value, exitStatus: EXIT.again };
}
