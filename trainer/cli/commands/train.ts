/** `rowtune train`: a recipe from data to an adapter, in a run folder of its own; by the daemon where one runs. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { TrainResult } from '../../handlers/train/train-run.ts';
import type { RecipeSource } from '../../protocol/rpc-messages.ts';
import { requireUsableOutput } from '../../run/begin-run.ts';
import { freeRunFolder } from '../../run/free-run-folder.ts';
import { jobContext } from '../../settings.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { connectIfRunning } from '../daemon-client.ts';
import { detachTraining, trainOnDaemon } from '../daemon-training.ts';
import { shownPath, withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runTable } from '../run-table.ts';
import { runWorker } from '../run-worker.ts';

export interface WhereOptions {
  readonly detach?: boolean;
  /** False with --no-daemon. */
  readonly daemon: boolean;
}

/** Where a training runs. */
export const withWhereOptions = (command: Command): Command =>
  command
    .option('--detach', 'start it in the daemon (which is started where none runs) and return')
    .option('--no-daemon', 'run it in this command, also where a daemon runs');

export const addTrain: AddCommand = (program, surroundings) => {
  const command = withWhereOptions(
    withOverrides(
      program
        .command('train')
        .description('train by a recipe; Ctrl-C stops and saves, a second one aborts')
        .argument('<recipe>', 'a recipe; - reads it from the standard input'),
    ),
  );
  const examples = [
    'rowtune train spam.rowtune.yaml',
    'rowtune train spam.rowtune.yaml method=lora r=16 output_dir=runs/spam-lora',
    'rowtune train spam.rowtune.yaml --detach',
  ];
  withCommonOptions(command, examples).action((file: string, overrides: string[], options: WhereOptions) =>
    runCommandWork(command, surroundings, context => train(context, file, overrides, options)),
  );
};

async function train(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  { detach = false, daemon }: WhereOptions,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const client = daemon && !detach ? await connectIfRunning(context) : undefined;
  const isSent = detach || client !== undefined;
  const { recipe, source } = await readRecipe(context, file, { overrides, isSent }).catch(error => {
    client?.close();
    throw error;
  });
  if (isSent) {
    const sent: RecipeSource = { ...source, overrides: [...source.overrides, ...engineOf(context, recipe.engine)] };
    const start = { name: 'train', params: { id: randomUUID(), recipe: sent } } as const;
    if (client === undefined) return detachTraining(context, start);
    return finishTraining(context, await trainOnDaemon(context, client, start));
  }
  const runDir = await freeRunFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
  await requireUsableOutput(runDir);
  const request = { kind: 'train', context: jobContext(settings, source.baseDir), recipe, runDir } as const;
  const value = await runWorker({ request, terminal, threads: recipe.threads, resumeCommand: resumeCommandOf(runDir, cwd) });
  return finishTraining(context, value);
}

/** The daemon has an environment of its own; what ours asks for goes with the recipe. */
const engineOf = ({ settings }: CommandContext, engine: string): string[] =>
  engine === 'auto' && settings.engineFromEnvironment !== undefined ? [`engine=${settings.engineFromEnvironment}`] : [];

/** Shows the table of a run that ended by itself or was asked to stop. */
export function finishTraining({ terminal, cwd }: CommandContext, value: unknown): CommandResult {
  const result = value as TrainResult;
  terminal.print(runTable(result, folder => shownPath(folder, cwd)));
  if (result.state === 'stopped') terminal.say('info', `go on with: ${resumeCommandOf(result.runDir, cwd)}`);
  return { value: { ok: true, ...result } };
}

export const resumeCommandOf = (runDir: string, cwd: string): string => `rowtune resume ${shownPath(runDir, cwd)}`;
