/** `rowtune importance`: computes the scores of every row and saves them, for inspection or for several runs. */
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
      .description("score every row with the recipe's measure and save the scores")
      .argument('<recipe>', 'a recipe'),
  )
    .option(
      '--output <file>',
      'the score file (.safetensors, with a JSON summary next to it); default: RECIPE.scores.safetensors next to the recipe',
    )
    .option(
      '--report',
      'also report how stable the selection is: overlap between halves, measures and classes, and losses with rows or columns set to zero',
    );
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
  const value = await runWorker({ request, terminal, threads: recipe.threads });
  terminal.print(`wrote ${outputFile}`);
  return { value: { ok: true, ...value } };
}
