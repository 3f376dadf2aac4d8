/** A sweep as a job array of Slurm: its tasks are workers that share the sweep's folder. Nothing runs on the login node. */
import { existsSync } from 'node:fs';
import { required } from '../../narrow.ts';
import { metricKey, type SweepStatus } from '../../protocol/run/sweep.ts';
import { compact, counted, processesText } from '../../protocol/text/format.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { slurmFiles, slurmLog } from '../../slurm/job-script.ts';
import { findTasks, isAlive, type SlurmJob, shownState } from '../../slurm/slurm.ts';
import { stopSubmission } from '../../slurm/stop-submission.ts';
import { type SubmittedSweep, submitNewSweep, submitRestOfSweep } from '../../slurm/submit-sweep.ts';
import { JournalFolder } from '../../sweep/journal-folder.ts';
import { sharedStatus } from '../../sweep/shared-status.ts';
import { readPlan } from '../../sweep/sweep-plan.ts';
import { requireFinishedRun } from '../check-result.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext, CommandResult } from '../command.ts';
import { engineOverrides, pathWord, shownPath, typedContext } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';
import { countStates } from '../show/sweep-table.ts';
import { type SlurmOptions, submitOptions } from './slurm-options.ts';
import { silent, untilEnded } from './slurm-watch.ts';

/** Shows the table of a sweep. */
export type ShowSweep = (status: SweepStatus) => Promise<CommandResult>;

/**
 * Plans a sweep of a recipe and submits it.
 * @throws CliError for a bad recipe; RunError for a bad plan or profile, or if Slurm refuses it
 */
export async function sweepOnSlurm(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  options: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const submitting = await submitOptions(context, source.baseDir, options);
  return report(context, await submitNewSweep({ recipe, source, fixed: engineOverrides(context, recipe) }, submitting), options, show);
}

/** Submits workers for the rest of a sweep. @throws RunError as `sweepOnSlurm`, or if workers of this sweep are already queued */
export async function continueSweepOnSlurm(
  context: CommandContext,
  sweepDir: string,
  options: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const plan = required(await readPlan(sweepDir), `the plan of ${sweepDir}`);
  return report(context, await submitRestOfSweep(sweepDir, await submitOptions(context, plan.source.baseDir, options)), options, show);
}

/** Reports what was submitted, and follows it unless it is detached. */
async function report(
  context: CommandContext,
  { jobId: id, sweepDir, runs, workers, processes }: SubmittedSweep,
  { detach }: SlurmOptions,
  show: ShowSweep,
): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const folder = shownPath(sweepDir, cwd);
  terminal.say(
    'info',
    `submitted to Slurm as job array ${id}: ${counted(runs, 'run')} of ${processesText(processes)}, ${counted(workers, 'worker')}; folder ${folder}`,
  );
  if (!detach) return followSweepOnSlurm(context, sweepDir, id, show);
  terminal.print(
    [
      `  follow  rowtune runs --follow ${shellWord(folder)}`,
      `  table   rowtune sweep ${shellWord(folder)} --status`,
      `  stop    rowtune runs --stop ${shellWord(folder)}`,
      `  cancel  scancel ${id}`,
    ].join('\n'),
  );
  return { value: { ok: true, detached: true, slurmJob: id, sweepDir, runs, workers, processes } };
}

/**
 * Shows the progress of a sweep until its job array ends. Ctrl-C ends this command, not the sweep.
 * @throws CliError if the sweep ended unfinished and was not stopped
 */
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
    terminal.say('info', `job ${id} continues; follow it again with: rowtune runs --follow ${pathWord(sweepDir, cwd)}`);
    return { value: { ok: true, left: true, slurmJob: id, sweepDir } };
  }
  const status = await look();
  const shown = await show(status);
  if (status.state === 'finished') requireFinishedRun(status);
  if (status.state === 'finished' || existsSync(slurmFiles(sweepDir).stop)) return shown;
  throw new CliError(`job ${id} of Slurm has ended, and the sweep is not finished`, {
    code: 'slurm-failed',
    exitStatus: EXIT.failed,
    hint: `The logs of its workers are in ${shownPath(slurmFiles(sweepDir).folder, cwd)}. Continue with: rowtune sweep ${pathWord(sweepDir, cwd)} --on slurm`,
  });
}

/** Describes tasks: 12 workers running on n[1-3], 4 pending (Resources). */
function describeTasks(tasks: readonly SlurmJob[]): string {
  const groups = new Map<string, SlurmJob[]>();
  for (const task of tasks) groups.set(task.state, [...(groups.get(task.state) ?? []), task]);
  const texts = [...groups].map(([state, of]) => {
    const details = [...new Set(of.map(({ nodes, reason }) => (state === 'PENDING' ? reason : nodes)))].filter(text => text !== '');
    const where =
      details.length === 0 ? '' : state === 'PENDING' ? ` (${details.join(', ')})` : ` on ${details.slice(0, MAX_NODES).join(', ')}`;
    return `${of.length} ${shownState(state)}${where}`;
  });
  return texts.length === 0 ? 'ended' : `workers ${texts.join(', ')}`;
}

/** Maximum number of node names that fit a line. */
const MAX_NODES = 4;

function describeSweep(status: SweepStatus): string {
  const { value } = status.runs.find(run => run.value !== undefined) ?? {};
  return `${countStates(status)}${value === undefined ? '' : `; ${metricKey(status.metric)} ${compact(value)} of the first`}`;
}

/** Lets the workers save and end permanently; waiting ones are removed from the queue. @throws CliError if the job has ended */
export async function stopSweepOnSlurm(context: CommandContext, sweepDir: string, id: string, show: ShowSweep): Promise<CommandResult> {
  if ((await stopSubmission(sweepDir, { id }, { save: true })) === 'ended')
    throw new CliError(`job ${id} of Slurm has ended`, { code: 'job-missing', exitStatus: EXIT.usage });
  context.terminal.say('info', 'stopping all workers after their current step and saving');
  return followSweepOnSlurm(context, sweepDir, id, show);
}

/** Works on a sweep until nothing is left for this process. @param label the name of a Slurm task, or any other name */
export async function workAsSweepWorker(
  context: CommandContext,
  sweepDir: string,
  label: string | undefined,
  show: ShowSweep,
): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const files = slurmFiles(sweepDir);
  const log = label === undefined ? undefined : slurmLog(files, label);
  const worker = { label, log: log !== undefined && existsSync(log) ? log : undefined };
  const request = { kind: 'sweep', context: typedContext(context, cwd), sweepDir, worker } as const;
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
