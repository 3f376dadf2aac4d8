/** `rowtune train`: trains a recipe in its own run folder, on the daemon if one is running. */

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { JobRequest, RankPlace, WorkerEvent } from '../../protocol/messages/job-messages.ts';
import type { RecipeSource } from '../../protocol/messages/rpc-messages.ts';
import { requireReplaceable, requireUsableOutput } from '../../run/begin-run.ts';
import { freeRunFolder } from '../../run/free-run-folder.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { connectIfRunning } from '../daemon/daemon-client.ts';
import { detachTraining, trainOnDaemon } from '../daemon/daemon-training.ts';
import { finishTraining, resumeCommandOf } from '../finish-training.ts';
import { engineOverrides, numberOption, typedContext, withOverrides } from '../job-command.ts';
import { isHiddenOfRank, launchedRank, rankThreads } from '../launched-rank.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';
import type { SlurmOptions } from '../slurm/slurm-options.ts';
import { trainOnSlurm } from '../slurm/slurm-training.ts';

export interface WhereOptions {
  readonly detach?: boolean;
  /** False with --no-daemon. */
  readonly daemon: boolean;
}

export interface OnSlurmOptions extends Partial<Pick<SlurmOptions, 'profile'>> {
  readonly on?: 'slurm';
}

/** Adds the options for the process that trains. */
export const withWhereOptions = (command: Command): Command =>
  command
    .option('--detach', 'start it on the daemon (started if needed) and return')
    .option('--no-daemon', 'train in this process, even if a daemon is running');

/** Adds the options for the cluster that trains. */
export const withSlurmOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--on <place>', 'submit it to the cluster that this machine belongs to; with --detach, return at once').choices(['slurm']),
    )
    .option('--profile <file>', 'with --on slurm: partition and resources (default: slurm.yaml next to the recipe or of the user)');

export const addTrain: AddCommand = (program, surroundings) => {
  const command = withSlurmOptions(
    withWhereOptions(
      withOverrides(
        program
          .command('train')
          .description('train a recipe; Ctrl-C stops and saves, pressing it again aborts')
          .argument('<recipe>', 'a recipe file; - for stdin')
          .option(
            '--processes <count>',
            'train in so many processes of this machine (MPI), as processes=<count>',
            numberOption({ min: 1, integer: true }),
          )
          .option(
            '--devices <count>',
            'train on so many devices in one process (PJRT engine), as devices=<count>',
            numberOption({ min: 1, integer: true }),
          ),
      ),
    ),
  );
  const examples = [
    'rowtune train spam.rowtune.yaml',
    'rowtune train spam.rowtune.yaml method=lora r=16 output_dir=runs/spam-lora',
    'rowtune train spam.rowtune.yaml --detach',
    'rowtune train spam.rowtune.yaml --processes 2',
    'rowtune train spam.rowtune.yaml --devices 2 engine=pjrt',
    'srun rowtune train spam.rowtune.yaml',
    'rowtune train spam.rowtune.yaml --on slurm --profile gpu-node.yaml',
  ];
  withCommonOptions(command, examples).action((file: string, overrides: string[], options: TrainOptions) =>
    runCommandWork(command, surroundings, context => train(context, file, overrides, options)),
  );
};

interface TrainOptions extends WhereOptions, OnSlurmOptions {
  readonly processes?: number;
  readonly devices?: number;
}

async function train(
  context: CommandContext,
  file: string,
  typed: readonly string[],
  { detach = false, daemon, processes, devices, on, profile }: TrainOptions,
): Promise<CommandResult> {
  const given = devices === undefined ? typed : [...typed, `devices=${devices}`];
  if (on !== undefined) {
    checkNoProcesses(processes);
    return trainOnSlurm(context, file, given, { detach, profile });
  }
  const { terminal, cwd } = context;
  const launched = launchedRank(context);
  if (launched) return trainAsRank(context, file, [...given, `processes=${launched.size}`], launched);
  const overrides = processes === undefined ? given : [...given, `processes=${processes}`];
  const client = daemon && !detach ? await connectIfRunning(context) : undefined;
  const isSent = detach || client !== undefined;
  const { recipe, source } = await readRecipe(context, file, { overrides, isSent }).catch(error => {
    client?.close();
    throw error;
  });
  if (isSent) {
    const sent: RecipeSource = { ...source, overrides: [...source.overrides, ...engineOverrides(context, recipe)] };
    const start = { name: 'train', params: { id: randomUUID(), recipe: sent } } as const;
    if (client === undefined) {
      const { output_dir: output } = recipe;
      if (output !== undefined && context.settings.remoteDaemon === undefined)
        await checkDetachedOutput(path.resolve(source.baseDir, output), recipe.overwrite_output_dir);
      return detachTraining(context, start);
    }
    return finishTraining(context, await trainOnDaemon(context, client, start));
  }
  const runDir = await freeRunFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
  await requireUsableOutput(runDir);
  const request = { kind: 'train', context: typedContext(context, source.baseDir), recipe, runDir } as const;
  const value = await runWorker({ request, terminal, threads: recipe.threads, resumeCommand: resumeCommandOf(runDir, cwd) });
  return finishTraining(context, value);
}

/** Nobody sees that a detached run fails at once. @throws RunError if the folder cannot take a new run */
async function checkDetachedOutput(runDir: string, overwrite: boolean): Promise<void> {
  await requireUsableOutput(runDir);
  if (existsSync(runDir)) await requireReplaceable(runDir, overwrite);
}

/** Refuses --processes. @throws CliError */
function checkNoProcesses(processes: number | undefined): void {
  if (processes === undefined) return;
  throw new CliError('--processes starts processes on this machine', {
    code: 'usage',
    exitStatus: EXIT.usage,
    hint: 'With --on slurm, the profile says how many there are: nodes × tasks_per_node',
  });
}

/** Trains as one of the processes that mpirun or srun has started. The first one shows the run, the others only errors. */
async function trainAsRank(context: CommandContext, file: string, overrides: readonly string[], rank: RankPlace): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides, hidesWarnings: rank.rank > 0 });
  const runDir = await freeRunFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
  const request = { kind: 'train', context: { ...typedContext(context, source.baseDir), rank }, recipe, runDir } as const;
  return runAsRank(context, request, { rank, threads: recipe.threads });
}

/** Runs the job of one of the processes. @param threads the setting of the recipe */
export async function runAsRank(
  context: CommandContext,
  request: Extract<JobRequest, { kind: 'train' | 'resume' }>,
  { rank, threads }: { readonly rank: RankPlace; readonly threads: number },
): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const onEvent = (event: WorkerEvent): boolean => isHiddenOfRank(event, rank);
  const resumeCommand = resumeCommandOf(request.runDir, cwd);
  const value = await runWorker({ request, terminal, threads: rankThreads(threads, rank), resumeCommand, onEvent });
  return rank.rank === 0 ? finishTraining(context, value) : { value: { ok: true, rank: rank.rank } };
}
