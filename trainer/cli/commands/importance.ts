/** `rowtune importance`: scores of every row, saved, to be looked at or used by several runs. */
import path from 'node:path';
import { jobContext } from '../../settings.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';

export const addImportance: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('importance')
      .description('score every row by the measure of a recipe and save the scores')
      .argument('<recipe>', 'a recipe'),
  )
    .option(
      '--output <file>',
      'the file of scores (.safetensors; a summary in JSON goes beside it); without it, RECIPE.scores.safetensors beside the recipe',
    )
    .option('--report', 'also tell how stable the choice is: overlap over halves, measures and classes, and losses with rows set to zero');
  const examples = [
    'rowtune importance spam.rowtune.yaml --output scores.safetensors',
    'rowtune train spam.rowtune.yaml importance.scores=scores.safetensors',
    'rowtune importance spam.rowtune.yaml importance.measure=qm_taylor --report',
  ];
  withCommonOptions(command, examples).action((file: string, overrides: string[]) =>
    runCommandWork(command, surroundings, context => importance(context, file, overrides, command.opts<ImportanceOptions>())),
  );
};

interface ImportanceOptions {
  readonly output?: string;
  readonly report?: boolean;
}

async function importance(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  { output, report }: ImportanceOptions,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const stem = source.fileName.replace(/(\.rowtune)?\.(ya?ml|json)$/i, '');
  const outputFile = output === undefined ? path.join(source.baseDir, `${stem}.scores.safetensors`) : path.resolve(cwd, output);
  const request = { kind: 'importance', context: jobContext(settings, source.baseDir), recipe, outputFile, report } as const;
  const value = (await runWorker({ request, terminal, threads: recipe.threads })) as object;
  terminal.print(`wrote ${outputFile}`);
  return { value: { ok: true, outputFile, ...value } };
}
