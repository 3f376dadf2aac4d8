/** Training as a Slurm job: submitted with a profile, followed from a login node, stopped and continued. */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { processesText } from '../../protocol/text/format.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { readSummary } from '../../run/read-summary.ts';
import { readRunState } from '../../run/run-state.ts';
import { type SlurmFiles, slurmFiles, slurmLog } from '../../slurm/job-script.ts';
import { describeJob, placeInQueue } from '../../slurm/queue.ts';
import { findJob, isAlive } from '../../slurm/slurm.ts';
import { stopSubmission } from '../../slurm/stop-submission.ts';
import { type SubmittedRun, submitNewRun, submitRestOfRun } from '../../slurm/submit-run.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext, CommandResult } from '../command.ts';
import { finishTraining } from '../finish-training.ts';
import { pathWord, shownPath } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { STOPPING } from '../run-worker.ts';
import { type SlurmOptions, submitOptions } from './slurm-options.ts';
import { silent, untilEnded } from './slurm-watch.ts';

/**
 * Submits a new run of a recipe.
 * @throws CliError for a bad recipe; RunError for a bad profile, a folder with a run, or if Slurm refuses it
 */
export async function trainOnSlurm(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  options: SlurmOptions,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const { fileName: recipeFile, baseDir } = source;
  return report(context, await submitNewRun({ recipe, recipeFile, baseDir }, await submitOptions(context, baseDir, options)), options);
}

/** Submits the rest of a run. @throws RunError for a bad profile, or if Slurm refuses it */
export async function resumeOnSlurm(context: CommandContext, runDir: string, options: SlurmOptions): Promise<CommandResult> {
  return report(context, await submitRestOfRun(runDir, await submitOptions(context, path.dirname(runDir), options)), options);
}

/** Reports what was submitted, and follows it unless it is detached. */
async function report(context: CommandContext, submitted: SubmittedRun, { detach }: SlurmOptions): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const { jobId: id, runDir, processes, log } = submitted;
  const folder = shownPath(runDir, cwd);
  terminal.say('info', `submitted to Slurm as job ${id}, ${processesText(processes)}; run folder ${folder}`);
  if (!detach) return followOnSlurm(context, runDir, id);
  terminal.print(
    [
      `  log     ${shownPath(log, cwd)}`,
      `  follow  rowtune runs --follow ${shellWord(folder)}`,
      `  stop    rowtune runs --stop ${shellWord(folder)}`,
      `  cancel  scancel ${id}`,
    ].join('\n'),
  );
  return { value: { ok: true, detached: true, slurmJob: id, runDir, processes, log } };
}

/** Shows the state and the log of a run until its job ends. Ctrl-C ends this command, not the run. @throws CliError if the run has no result */
export async function followOnSlurm(context: CommandContext, runDir: string, id: string): Promise<CommandResult> {
  if (await watch(context, runDir, id)) return finishTraining(context, await resultOf(context, runDir, id));
  const { terminal, cwd } = context;
  terminal.say('info', `job ${id} continues; follow it again with: rowtune runs --follow ${pathWord(runDir, cwd)}`);
  return { value: { ok: true, left: true, slurmJob: id, runDir } };
}

/** Watches the job. @returns false if a signal ended the wait before the job ended */
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

/** Reads the lines that the job has written since the previous read. */
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

/** Maximum number of bytes per read; the rest follows with the next read. */
const MAX_LOG_BYTES = 2 ** 20;

/** Reads the result of the run. @throws CliError if the job has ended without one */
async function resultOf({ cwd }: CommandContext, runDir: string, id: string): Promise<unknown> {
  const result = await readSummary(runDir);
  if (result !== undefined) return result;
  const state = await readRunState(runDir);
  const reason = state?.reason ?? (state === undefined ? 'it had not begun' : `its state was '${state.state}' at step ${state.step}`);
  throw new CliError(`job ${id} of Slurm has ended without a result: ${reason}`, {
    code: 'slurm-failed',
    exitStatus: EXIT.failed,
    hint: `Its log is ${shownPath(slurmLog(slurmFiles(runDir), id), cwd)}`,
  });
}

/** Lets a running job save and end permanently; a waiting one is removed from the queue. @throws CliError if the job has ended */
export async function stopOnSlurm(context: CommandContext, runDir: string, id: string): Promise<CommandResult> {
  const { terminal } = context;
  const outcome = await stopSubmission(runDir, { id }, { save: true });
  if (outcome === 'ended') throw new CliError(`job ${id} of Slurm has ended`, { code: 'job-missing', exitStatus: EXIT.usage });
  if (outcome === 'dequeued') {
    terminal.print(`job ${id} left the queue`);
    return { value: { ok: true, slurmJob: id, runDir, state: 'cancelled' } };
  }
  terminal.say('info', STOPPING);
  return followOnSlurm(context, runDir, id);
}
