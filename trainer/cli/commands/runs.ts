/**
 * `rowtune runs`: lists the runs in a folder, newest first; with --follow or --stop, controls one run of the daemon.
 */

import path from 'node:path';
import { realPath } from '../../files/real-path.ts';
import type { JobRecord, RunList } from '../../protocol/messages/rpc-messages.ts';
import { listRunsAnywhere } from '../../rpc/cluster-runs.ts';
import type { DaemonClient } from '../../rpc/connection/connect.ts';
import { hasEnded } from '../../rpc/jobs/job-record.ts';
import { readSummary } from '../../run/read-summary.ts';
import { summarizeRun } from '../../run/run-folder.ts';
import { isSweepFolder } from '../../run/sweep-folder.ts';
import { readSubmission } from '../../slurm/submission.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { connectIfRunning } from '../daemon/daemon-client.ts';
import { followJob } from '../daemon/run-on-daemon.ts';
import { SHOW_STATE, unknownRun } from '../daemon/unknown-run.ts';
import { trainingsOfDaemon, waitingRuns } from '../daemon/waiting-runs.ts';
import { finishTraining, resumeCommandOf } from '../finish-training.ts';
import { pathWord } from '../job-command.ts';
import { addNotesOptions, type NotesOptions, writeNotes, writesNotes } from '../run-notes-options.ts';
import { STOPPING } from '../run-worker.ts';
import { runList } from '../show/run-list.ts';
import { followSweepOnSlurm, type ShowSweep, stopSweepOnSlurm } from '../slurm/slurm-sweep.ts';
import { followOnSlurm, stopOnSlurm } from '../slurm/slurm-training.ts';
import { finishSweep, showSweep, sweepCommandOf } from './sweep.ts';

interface RunsOptions extends ShownRuns, NotesOptions {
  readonly follow?: string;
  readonly stop?: string;
}

interface ShownRuns {
  /** Whether archived runs are listed, too. */
  readonly all?: true;
  readonly tagged?: string;
}

export const addRuns: AddCommand = (program, surroundings) => {
  const command = program
    .command('runs')
    .description('list runs, newest first; or write something about one')
    .argument('[dir]', 'the folder to search, or the run to write about', '.')
    .option('--all', 'list archived runs too')
    .option('--tagged <tag>', 'list only runs with this tag')
    .option('--follow <run>', 'follow a run of the daemon or of Slurm until it ends; Ctrl-C stops following, not the run')
    .option('--stop <run>', 'stop a run of the daemon or of Slurm; it saves and can be resumed');
  addNotesOptions(command);
  const examples = [
    'rowtune runs',
    'rowtune runs ~/experiments --json',
    'rowtune runs --follow runs/spam',
    'rowtune runs runs/spam --rename "spam, all rows" --tag paper --pin',
  ];
  withCommonOptions(command, examples).action((dir: string, options: RunsOptions) =>
    runCommandWork(command, surroundings, context => {
      const { follow, stop: stopped } = options;
      if (follow !== undefined) return onSlurmOr(context, follow, { run: followOnSlurm, sweep: followSweepOnSlurm, daemon: followRun });
      if (stopped !== undefined) return onSlurmOr(context, stopped, { run: stopOnSlurm, sweep: stopSweepOnSlurm, daemon: stopRun });
      return writesNotes(options) ? writeNotes(context, dir, options) : runs(context, dir, options);
    }),
  );
};

async function runs(context: CommandContext, dir: string, { all, tagged }: ShownRuns): Promise<CommandResult> {
  const { terminal, cwd, settings } = context;
  const folder = path.resolve(settings.remoteDaemon?.dir ?? cwd, dir);
  const isHere = settings.remoteDaemon === undefined;
  const jobs = await trainingsOfDaemon(context);
  const { runs: begun, truncated, missing } = isHere ? await listRunsAnywhere([folder]) : await runsElsewhere(context, folder);
  const listed = [...(await waitingRuns({ jobs, folder, known: begun.map(({ runDir }) => runDir), isHere })), ...begun];
  // A run that waits for a cluster or a daemon may have no folder yet.
  if (listed.length === 0 && missing?.includes(folder))
    throw new CliError(`there is no folder ${isHere ? dir : `${folder} on the machine of the daemon`}`, {
      code: 'folder-missing',
      exitStatus: EXIT.usage,
      hint: 'Check the path',
    });
  const found = listed.filter(run => (all || run.archived !== true) && (tagged === undefined || run.tags?.includes(tagged)));
  terminal.print(found.length === 0 ? `no runs in ${dir}` : runList(found, cwd));
  const hidden = listed.filter(({ archived }) => archived).length;
  if (hidden > 0 && !all) terminal.say('info', `${hidden} archived: --all lists them too`);
  if (truncated) terminal.say('warning', `${dir} is too large to search completely. There may be more runs; give a subfolder to see them.`);
  return { value: { ok: true, runs: found, truncated } };
}

async function runsElsewhere(context: CommandContext, folder: string): Promise<RunList> {
  const client = await connectIfRunning(context);
  try {
    return (await client?.request('listRuns', { folders: [folder] })) ?? { runs: [], truncated: false };
  } finally {
    client?.close();
  }
}

/** Calls `work` with the daemon's newest job in this run folder, then closes the client. */
async function withJob(
  context: CommandContext,
  run: string,
  work: (client: DaemonClient, job: JobRecord, runDir: string) => Promise<CommandResult>,
): Promise<CommandResult> {
  const { settings, cwd } = context;
  const runDir = path.resolve(settings.remoteDaemon?.dir ?? cwd, run);
  const client = await connectIfRunning(context);
  if (client === undefined) throw await unknownRun(context, run, { code: 'daemon-missing', message: 'no daemon is running' });
  try {
    const job = await jobIn(await client.request('listJobs', {}), runDir, settings.remoteDaemon === undefined);
    if (job === undefined) throw await unknownRun(context, run, { code: 'job-missing', message: `the daemon has no job in ${run}` });
    return await work(client, job, runDir);
  } finally {
    client.close();
  }
}

/** Finds the newest job in a run folder; compares real paths if they are on this machine. */
async function jobIn(jobs: readonly JobRecord[], runDir: string, isHere: boolean): Promise<JobRecord | undefined> {
  const wanted = isHere ? await realPath(runDir) : runDir;
  const folders = await Promise.all(jobs.map(async ({ runDir: folder }) => (isHere && folder !== undefined ? realPath(folder) : folder)));
  return jobs[folders.lastIndexOf(wanted)];
}

interface Controls {
  readonly run: (context: CommandContext, runDir: string, id: string) => Promise<CommandResult>;
  readonly sweep: (context: CommandContext, sweepDir: string, id: string, show: ShowSweep) => Promise<CommandResult>;
  readonly daemon: (context: CommandContext, run: string) => Promise<CommandResult>;
}

/** Controls a run or a sweep through Slurm or the daemon, whichever runs it. */
async function onSlurmOr(context: CommandContext, subject: string, { run, sweep, daemon }: Controls): Promise<CommandResult> {
  const folder = path.resolve(context.cwd, subject);
  const submission = context.settings.remoteDaemon === undefined ? await readSubmission(folder) : undefined;
  if (submission === undefined) return daemon(context, subject);
  const { id } = submission;
  return isSweepFolder(folder) ? sweep(context, folder, id, status => showSweep(context, status)) : run(context, folder, id);
}

const followRun = (context: CommandContext, run: string): Promise<CommandResult> =>
  followJobOf(context, run).catch(error => endedRun(context, run, error));

/** Shows a run that ended and that the daemon does not know any more. @throws `error` if it has no result */
async function endedRun(context: CommandContext, run: string, error: unknown): Promise<CommandResult> {
  const runDir = path.resolve(context.cwd, run);
  const isUnknown = error instanceof CliError && UNKNOWN_RUN.includes(error.code) && context.settings.remoteDaemon === undefined;
  const { state } = (isUnknown && (await summarizeRun(runDir))) || {};
  const result = state === 'finished' || state === 'stopped' ? await readSummary(runDir) : undefined;
  if (result === undefined) throw error;
  return finishTraining(context, result);
}

const UNKNOWN_RUN: readonly string[] = ['daemon-missing', 'job-missing'];

const followJobOf = (context: CommandContext, run: string): Promise<CommandResult> =>
  withJob(context, run, async (client, job, runDir) => {
    const { terminal, cwd } = context;
    const isSweep = job.kind === 'sweep';
    const resumeCommand = isSweep ? sweepCommandOf(runDir, cwd) : resumeCommandOf(runDir, cwd);
    const value = await followJob({ client, job, terminal, onInterrupt: 'leave', resumeCommand });
    if (value !== undefined) return isSweep ? finishSweep(context, value) : finishTraining(context, value);
    terminal.say('info', `the run continues; stop it with: rowtune runs --stop ${pathWord(runDir, cwd)}`);
    return { value: { ok: true, left: true, id: job.id, runDir } };
  });

const stopRun = (context: CommandContext, run: string): Promise<CommandResult> =>
  withJob(context, run, async (client, job, runDir) => {
    const { terminal, cwd } = context;
    const { id, kind } = job;
    if (hasEnded(job)) throw new CliError(`the job in ${run} has ended`, { code: 'job-missing', exitStatus: EXIT.usage, hint: SHOW_STATE });
    terminal.say('info', STOPPING);
    await client.request('stopJob', { id });
    const { state, startedAt, resume } = await client.request('waitForJob', { id });
    const command = kind === 'sweep' ? sweepCommandOf(runDir, cwd) : resumeCommandOf(runDir, cwd);
    const next = resume === undefined ? '' : `; resume it with: ${command}`;
    terminal.print(startedAt === undefined ? 'stopped before it began; nothing of it is kept' : `${state}${next}`);
    return { value: { ok: true, id, runDir, state } };
  });
