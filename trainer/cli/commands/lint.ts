/** `rowtune lint`: what the editor shows, in a terminal or in continuous integration. */
import { parseRecipe } from '../../protocol/parse-recipe.ts';
import { formatProblems, hasErrors } from '../../protocol/problem.ts';
import { EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { readRecipeText, toJson } from '../read-recipe.ts';

export const addLint: AddCommand = (program, surroundings) => {
  const command = program
    .command('lint')
    .description('check recipes: every problem with its line and column')
    .argument('<files...>', 'recipes');
  withCommonOptions(command, ['rowtune lint spam.rowtune.yaml', 'rowtune lint examples/*.rowtune.yaml --json']).action((files: string[]) =>
    runCommandWork(command, surroundings, context => lint(context, files)),
  );
};

async function lint({ terminal, cwd }: CommandContext, files: readonly string[]): Promise<CommandResult> {
  const linted = [];
  for (const file of files) {
    const text = await readRecipeText(file, cwd);
    const { problems } = parseRecipe(text, { fileName: file });
    terminal.print(problems.length === 0 ? `${file}: no problems` : formatProblems(problems, file, text));
    linted.push({ file, problems });
  }
  const ok = linted.every(({ problems }) => !hasErrors(problems));
  const value = { ok, files: linted.map(({ file, problems }) => ({ file, problems: problems.map(toJson) })) };
  return { value, exitStatus: ok ? EXIT.ok : EXIT.usage };
}
