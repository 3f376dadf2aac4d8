/** Training as a job of Slurm: submitted with a profile, followed from a login node, stopped and continued. */
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { RUN_FILES } from '../protocol/run-files.ts';
import { stringifyRecipe } from '../protocol/stringify-recipe.ts';
import { withAbsolutePaths } from '../run/absolute-paths.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { freeRunFolder, recipeName } from '../run/free-run-folder.ts';
import { readRunState } from '../run/run-state.ts';
import { jobScript, type SlurmFiles, slurmFiles, slurmLog } from '../slurm/job-script.ts';
import { describeJob, placeInQueue } from '../slurm/queue.ts';
import { findJob, isAlive } from '../slurm/slurm.ts';
import { stopSubmission } from '../slurm/stop-submission.ts';
import { readSubmission } from '../slurm/submission.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { finishTraining } from './finish-training.ts';
import { isRunFolder, shownPath } from './job-command.ts';
import { readRecipe } from './read-recipe.ts';
import { ownCommand, profileOf, type SlurmOptions, submitScript } from './slurm-submit.ts';
import { silent, untilEnded } from './slurm-watch.ts';

/** Submits a new run of a recipe. @throws CliError for a bad recipe or a folder with a run; RunError for a bad profile or a Slurm that refuses it */
export async function trainOnSlurm(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  options: SlurmOptions,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const runDir = await freeRunFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
  await requireUsableOutput(runDir);
  if (isRunFolder(runDir))
    throw new CliError(`${shownPath(runDir, context.cwd)} already contains a run`, {
      code: 'output-not-empty',
      exitStatus: EXIT.usage,
      hint: `Continue it with: rowtune resume ${shownPath(runDir, context.cwd)} --on slurm; or choose another output_dir`,
    });
  // The job says how many processes there are, and where the run is.
  const text = stringifyRecipe({ ...withAbsolutePaths(recipe, source.baseDir), processes: 1, output_dir: undefined });
  const name = recipeName(recipe, source.fileName);
  return submit(context, { runDir, name, text, profileFolder: source.baseDir }, options);
}

/** Submits the rest of a run. @throws RunError for a bad profile or a Slurm that refuses it */
export const resumeOnSlurm = (context: CommandContext, runDir: string, options: SlurmOptions): Promise<CommandResult> =>
  submit(context, { runDir, name: path.basename(runDir), profileFolder: path.dirname(runDir) }, options);

interface SubmittedRun {
  readonly runDir: string;
  readonly name: string;
  /** The recipe of a new run. */
  readonly text?: string;
  /** The folder in which a profile may be. */
  readonly profileFolder: string;
}

async function submit(context: CommandContext, run: SubmittedRun, options: SlurmOptions): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const { runDir, name, text, profileFolder } = run;
  const profile = await profileOf(context, profileFolder, options);
  const before = await readSubmission(runDir);
  const job = before === undefined ? undefined : await findJob(before.id);
  if (job && isAlive(job))
    throw new CliError(`job ${job.id} of Slurm already works on ${shownPath(runDir, cwd)}`, { code: 'run-busy', exitStatus: EXIT.usage });
  const files = slurmFiles(runDir);
  const script = jobScript({ profile, name, runDir, files, command: ownCommand() });
  const id = await submitScript({ folder: runDir, script, logName: '%j', recipe: text });
  const processes = profile.nodes * profile.tasks_per_node;
  const folder = shownPath(runDir, cwd);
  terminal.say('info', `submitted to Slurm as job ${id}, ${processes} ${processes === 1 ? 'process' : 'processes'}; run folder ${folder}`);
  if (!options.detach) return followOnSlurm(context, runDir, id);
  const log = slurmLog(files, id);
  terminal.print(
    [
      `  log     ${shownPath(log, cwd)}`,
      `  follow  rowtune runs --follow ${folder}`,
      `  stop    rowtune runs --stop ${folder}`,
      `  cancel  scancel ${id}`,
    ].join('\n'),
  );
  return { value: { ok: true, detached: true, slurmJob: id, runDir, processes, log } };
}

/** Shows the state and the log of a run until its job ends. Ctrl-C ends this command, not the run. @throws CliError if the run has no result */
export async function followOnSlurm(context: CommandContext, runDir: string, id: string): Promise<CommandResult> {
  if (await watch(context, runDir, id)) return finishTraining(context, await resultOf(context, runDir, id));
  const { terminal, cwd } = context;
  terminal.say('info', `job ${id} continues; follow it again with: rowtune runs --follow ${shownPath(runDir, cwd)}`);
  return { value: { ok: true, left: true, slurmJob: id, runDir } };
}

/** @returns false if a signal has ended it before the job */
function watch({ terminal }: CommandContext, runDir: string, id: string): Promise<boolean> {
  const log = new LogReader(slurmFiles(runDir), id);
  return untilEnded(terminal, async say => {
    const job = await findJob(id).catch(silent(say));
    for (const line of await log.next()) terminal.say('info', line);
    if (job === undefined || (job !== 'unknown' && !isAlive(job))) return true;
    if (job !== 'unknown') say(`job ${id}: ${describeJob(await placeInQueue([job]).catch(() => ({ tasks: [job] })))}`);
    return false;
  });
}

/** The lines that the job has written since the last look. */
class LogReader {
  private readonly file: string;
  private at = 0;
  private rest = '';

  constructor(files: SlurmFiles, id: string) {
    this.file = slurmLog(files, id);
  }

  async next(): Promise<readonly string[]> {
    if (!existsSync(this.file)) return [];
    const handle = await open(this.file, 'r');
    try {
      const { size } = await handle.stat();
      if (size <= this.at) return [];
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.min(size - this.at, MAX_LOG_BYTES)), 0, undefined, this.at);
      this.at += bytesRead;
      const lines = (this.rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      this.rest = lines.pop() ?? '';
      return lines;
    } finally {
      await handle.close();
    }
  }
}

/** The most that one look shows; the rest follows with the next one. */
const MAX_LOG_BYTES = 2 ** 20;

/** @throws CliError if the job has ended without one */
async function resultOf({ cwd }: CommandContext, runDir: string, id: string): Promise<unknown> {
  const summary = path.join(runDir, RUN_FILES.summary);
  if (existsSync(summary)) return JSON.parse(await readFile(summary, 'utf8'));
  const state = await readRunState(runDir);
  const reason = state?.reason ?? (state === undefined ? 'it had not begun' : `its state was '${state.state}' at step ${state.step}`);
  throw new CliError(`job ${id} of Slurm has ended without a result: ${reason}`, {
    code: 'slurm-failed',
    exitStatus: EXIT.failed,
    hint: `Its log is ${shownPath(slurmLog(slurmFiles(runDir), id), cwd)}`,
  });
}

/** Lets a running job save and end for good; a waiting one leaves the queue. @throws CliError if the job has ended */
export async function stopOnSlurm(context: CommandContext, runDir: string, id: string): Promise<CommandResult> {
  const { terminal } = context;
  const outcome = await stopSubmission(runDir, { id }, { save: true });
  if (outcome === 'ended') throw new CliError(`job ${id} of Slurm has ended`, { code: 'job-missing', exitStatus: EXIT.usage });
  if (outcome === 'dequeued') {
    terminal.print(`job ${id} left the queue`);
    return { value: { ok: true, slurmJob: id, runDir, state: 'cancelled' } };
  }
  terminal.say('info', 'stopping after this step and saving');
  return followOnSlurm(context, runDir, id);
}
