/** `rowtune resume`: goes on with a run from its last checkpoint, as if it had never stopped. */
import path from 'node:path';
import { readRunRecipe } from '../../run/run-folder.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { isRunFolder, withOverrides } from '../job-command.ts';
import { runWorker } from '../run-worker.ts';
import { jobContext } from '../settings.ts';
import { finishTraining, resumeCommandOf } from './train.ts';

export const addResume: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program.command('resume').description('go on with a run that was stopped, killed or is to be longer').argument('<run>', 'a run folder'),
  );
  withCommonOptions(command, ['rowtune resume runs/spam', 'rowtune resume runs/spam num_train_epochs=2']).action(
    (run: string, overrides: string[]) => runCommandWork(command, surroundings, context => resume(context, run, overrides)),
  );
};

async function resume(context: CommandContext, run: string, overrides: readonly string[]): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const runDir = path.resolve(cwd, run);
  if (!isRunFolder(runDir))
    throw new CliError(`${run} is no run folder`, {
      code: 'run-missing',
      exitStatus: EXIT.usage,
      hint: 'See where runs are: rowtune runs',
    });
  const { threads } = await readRunRecipe(runDir, overrides);
  const request = { kind: 'resume', context: jobContext(settings, cwd), runDir, overrides } as const;
  const value = await runWorker({ request, terminal, threads, resumeCommand: resumeCommandOf(runDir, cwd) });
  return finishTraining(context, value);
}
