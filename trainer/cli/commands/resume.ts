/** `rowtune resume`: continues a run from its last checkpoint as if it had never stopped, on the daemon if one is running. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { RankPlace } from '../../protocol/messages/job-messages.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { requireBase } from '../../run/require-base.ts';
import { readRunRecipe } from '../../run/run-folder.ts';
import { isSweepFolder } from '../../run/sweep-folder.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { connectIfRunning } from '../daemon/daemon-client.ts';
import { detachTraining, trainOnDaemon } from '../daemon/daemon-training.ts';
import { finishTraining, resumeCommandOf } from '../finish-training.ts';
import { requireRun, typedContext, withOverrides } from '../job-command.ts';
import { launchedRank } from '../launched-rank.ts';
import { absoluteOverrides } from '../override-paths.ts';
import { runWorker } from '../run-worker.ts';
import { resumeOnSlurm } from '../slurm/slurm-training.ts';
import { type OnSlurmOptions, runAsRank, type WhereOptions, withSlurmOptions, withWhereOptions } from './train.ts';

export const addResume: AddCommand = (program, surroundings) => {
  const command = withSlurmOptions(
    withWhereOptions(
      withOverrides(
        program
          .command('resume')
          .description('continue a stopped or killed run, or extend a finished one')
          .argument('<run>', 'a run folder'),
      ),
    ),
  );
  const examples = ['rowtune resume runs/spam', 'rowtune resume runs/spam num_train_epochs=2', 'rowtune resume runs/spam --detach'];
  withCommonOptions(command, examples).action((run: string, overrides: string[], options: WhereOptions & OnSlurmOptions) =>
    runCommandWork(command, surroundings, context => resume(context, run, overrides, options)),
  );
};

async function resume(
  context: CommandContext,
  run: string,
  given: readonly string[],
  { detach = false, daemon, on, profile }: WhereOptions & OnSlurmOptions,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const isElsewhere = settings.remoteDaemon !== undefined && daemon;
  const folder = isElsewhere ? (settings.remoteDaemon?.dir ?? cwd) : cwd;
  const runDir = path.resolve(folder, run);
  const overrides = absoluteOverrides(given, folder);
  if (!isElsewhere && isSweepFolder(runDir))
    throw new CliError(`${run} is the folder of a sweep`, {
      code: 'run-missing',
      exitStatus: EXIT.usage,
      hint: `Continue it with: rowtune sweep ${shellWord(run)}`,
    });
  if (!isElsewhere) await requireRun(runDir, run, settings);
  if (on !== undefined) {
    checkNoOverrides(overrides);
    return resumeOnSlurm(context, runDir, { detach, profile });
  }
  const launched = launchedRank(context);
  if (launched) return resumeAsRank(context, runDir, [...overrides, `processes=${launched.size}`], launched);
  const start = { name: 'resume', params: { id: randomUUID(), runDir, overrides } } as const;
  if (detach) return detachTraining(context, start);
  const client = daemon ? await connectIfRunning(context) : undefined;
  if (client !== undefined) return finishTraining(context, await trainOnDaemon(context, client, start));
  const { threads, model } = await readRunRecipe(runDir, overrides);
  requireBase(model, run, 'model=PATH');
  const request = { kind: 'resume', context: typedContext(context, cwd), runDir, overrides } as const;
  const value = await runWorker({ request, terminal, threads, resumeCommand: resumeCommandOf(runDir, cwd) });
  return finishTraining(context, value);
}

/** Refuses overrides, which a job that Slurm restarts would repeat. @throws CliError */
function checkNoOverrides(overrides: readonly string[]): void {
  if (overrides.length === 0) return;
  throw new CliError('with --on slurm, a run continues with the settings that it has', { code: 'usage', exitStatus: EXIT.usage });
}

/** Resumes as one of the processes that a launcher has started. */
async function resumeAsRank(
  context: CommandContext,
  runDir: string,
  overrides: readonly string[],
  rank: RankPlace,
): Promise<CommandResult> {
  const { threads } = await readRunRecipe(runDir, overrides);
  const request = { kind: 'resume', context: { ...typedContext(context, context.cwd), rank }, runDir, overrides } as const;
  return runAsRank(context, request, { rank, threads });
}
