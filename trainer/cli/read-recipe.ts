/** Reads a recipe file with the overrides of the command line, and says what is wrong with it. */
import path from 'node:path';
import { type ParsedRecipe, parseRecipe } from '../protocol/parse-recipe.ts';
import { formatProblems, type Problem } from '../protocol/problem.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { ReadRefusedError, readRegularText } from '../regular-file.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext } from './command.ts';

/** A recipe is one page; a file of this size is something else. */
const MAX_RECIPE_BYTES = 2 ** 20;

/** @throws CliError (status 2) when the file can't be read or is no recipe */
export async function readRecipeText(file: string, cwd: string): Promise<string> {
  return readRegularText(path.resolve(cwd, file), MAX_RECIPE_BYTES).catch((error: NodeJS.ErrnoException) => {
    const problem =
      error.code === 'ENOENT' ? 'does not exist' : error instanceof ReadRefusedError ? error.what : `cannot be read: ${error.message}`;
    throw new CliError(`the recipe ${file} ${problem}`, { code: 'recipe-unreadable', exitStatus: EXIT.usage, hint: 'Check the path.' });
  });
}

/**
 * The resolved recipe. Every problem is shown on stderr, warnings too.
 * @throws CliError (status 2) when one of them is an error
 */
export async function readRecipe({ terminal, cwd }: CommandContext, file: string, overrides: readonly string[] = []): Promise<Recipe> {
  const text = await readRecipeText(file, cwd);
  return acceptRecipe(parseRecipe(text, { fileName: file, overrides }), file, text, problems => terminal.say('info', problems));
}

function acceptRecipe({ recipe, problems }: ParsedRecipe, file: string, text: string, show: (problems: string) => void): Recipe {
  const shown = problems.filter(({ severity }) => severity !== 'info');
  if (shown.length > 0) show(formatProblems(shown, file, text));
  if (recipe !== undefined) return recipe;
  const count = problems.filter(({ severity }) => severity === 'error').length;
  throw new CliError(`${file} has ${count} error${count === 1 ? '' : 's'}`, {
    code: 'bad-recipe',
    exitStatus: EXIT.usage,
    details: { problems: problems.map(toJson) },
  });
}

/** A problem for programs: lines and columns from 1, as the text shows them. */
export function toJson({ code, severity, message, path: keys, range, suggestion, override }: Problem): Record<string, unknown> {
  return {
    code,
    severity,
    message,
    path: keys.join('.'),
    line: range.start.line + 1,
    column: range.start.column + 1,
    endLine: range.end.line + 1,
    endColumn: range.end.column + 1,
    suggestion,
    override,
  };
}
