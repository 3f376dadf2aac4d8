/** `rowtune train`: a recipe from data to an adapter, in a run folder of its own. */

import { freeRunFolder } from '../../jobs/free-run-folder.ts';
import type { TrainResult } from '../../run/train-run.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { shownPath, withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runTable } from '../run-table.ts';
import { runWorker } from '../run-worker.ts';
import { jobContext } from '../settings.ts';

export const addTrain: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program.command('train').description('train by a recipe; Ctrl-C stops and saves, a second one aborts').argument('<recipe>', 'a recipe'),
  );
  const examples = ['rowtune train spam.rowtune.yaml', 'rowtune train spam.rowtune.yaml method=lora r=16 output_dir=runs/spam-lora'];
  withCommonOptions(command, examples).action((file: string, overrides: string[]) =>
    runCommandWork(command, surroundings, context => train(context, file, overrides)),
  );
};

async function train(context: CommandContext, file: string, overrides: readonly string[]): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const recipe = await readRecipe(context, file, overrides);
  const runDir = await freeRunFolder({ recipe, recipeFile: file, baseDir: cwd });
  const request = { kind: 'train', context: jobContext(settings, cwd), recipe, runDir } as const;
  const value = await runWorker({ request, terminal, threads: recipe.threads, resumeCommand: resumeCommandOf(runDir, cwd) });
  return finishTraining(context, value);
}

/** Shows the table of a run that ended by itself or was asked to stop. */
export function finishTraining({ terminal, cwd }: CommandContext, value: unknown): CommandResult {
  const result = value as TrainResult;
  terminal.print(runTable(result, folder => shownPath(folder, cwd)));
  if (result.state === 'stopped') terminal.say('info', `go on with: ${resumeCommandOf(result.runDir, cwd)}`);
  return { value: { ok: true, ...result } };
}

export const resumeCommandOf = (runDir: string, cwd: string): string => `rowtune resume ${shownPath(runDir, cwd)}`;
