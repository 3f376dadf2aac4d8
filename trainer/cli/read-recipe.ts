/** Reads a recipe file with the overrides of the command line, and reports its problems. */

import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ReadRefusedError, readRegularText } from '../files/regular-file.ts';
import { dataExtensions } from '../protocol/data-extensions.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { RecipeSource } from '../protocol/messages/rpc-messages.ts';
import { formatProblems, type Problem } from '../protocol/problem.ts';
import { type ParsedRecipe, parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { isRunFolder } from '../run/run-folder.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext } from './command.ts';
import { absoluteOverrides } from './override-paths.ts';

/** Maximum size of a recipe file; a recipe is one page. */
const MAX_RECIPE_BYTES = 2 ** 20;

/** The name that stands for a recipe on standard input. */
export const STDIN = '-';

/** The code of the error for a recipe that cannot be read. */
export const UNREADABLE = 'recipe-unreadable';

/** @throws CliError (status 2) if the file can't be read or is not a recipe */
export async function readRecipeText(file: string, cwd: string): Promise<string> {
  if (file === STDIN) return readStdin();
  const full = path.resolve(cwd, file);
  // An invalid path is refused below.
  const found = await stat(full).catch(() => undefined);
  const isFolder = found?.isDirectory() === true;
  if (isFolder || (found !== undefined && isDataName(file))) {
    const { what, hint } = await otherThan(full, shellWord(file), isFolder);
    throw new CliError(`${file} is ${what}, not a recipe`, { code: UNREADABLE, exitStatus: EXIT.usage, hint });
  }
  const named = file.endsWith('.json') ? `the file ${file}` : `the recipe ${file}`;
  const text = await readRegularText(full, MAX_RECIPE_BYTES).catch((error: NodeJS.ErrnoException) => {
    const problem =
      error.code === 'ENOENT' ? 'does not exist' : error instanceof ReadRefusedError ? error.what : `cannot be read: ${messageOf(error)}`;
    throw new CliError(`${named} ${problem}`, { code: UNREADABLE, exitStatus: EXIT.usage, hint: 'Check the path.' });
  });
  // Every second byte is zero in UTF-16, which Windows PowerShell writes.
  if (text.includes('\0')) {
    const hint = 'Save the file as UTF-8.';
    throw new CliError(`${named} is UTF-16 or binary, expected UTF-8 text`, {
      code: UNREADABLE,
      exitStatus: EXIT.usage,
      hint,
    });
  }
  return text;
}

/** Tells what a path is that is not a recipe, and what to do with it. */
async function otherThan(full: string, word: string, isFolder: boolean): Promise<{ readonly what: string; readonly hint: string }> {
  if (!isFolder) return { what: 'data', hint: `To write a recipe for it: rowtune init ${word} --model NAME` };
  if (await isRunFolder(full)) return { what: 'a run', hint: `To continue it: rowtune resume ${word}` };
  if (existsSync(path.join(full, 'config.json')))
    return {
      what: 'the folder of a model',
      hint: `To write a recipe that tunes it: rowtune init DATA --model ${word}\nTo check its config: rowtune lint ${word}/config.json`,
    };
  return { what: 'a folder', hint: `To write a recipe for the data in it: rowtune init ${word} --model NAME` };
}

/** True if the file name has the extension of a data file. JSON may also be a recipe, or the config of a model. */
const isDataName = (file: string): boolean =>
  dataExtensions.some(ending => ending !== '.json' && ending !== '.txt' && file.toLowerCase().endsWith(ending));

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_RECIPE_BYTES)
      throw new CliError(`the recipe on the standard input has more than ${MAX_RECIPE_BYTES} bytes`, {
        code: UNREADABLE,
        exitStatus: EXIT.usage,
        hint: 'A recipe is a single page; check that this is the right file.',
      });
  }
  return text;
}

/** The base of relative paths in a recipe: its own folder, as in the editor; the current folder for standard input. */
const recipeFolder = (file: string, cwd: string): string => (file === STDIN ? cwd : path.dirname(path.resolve(cwd, file)));

/** A recipe read on the command line, in the form that is sent to a daemon. */
export interface ReadRecipe {
  readonly recipe: Recipe;
  /** The source; paths in its overrides are absolute. */
  readonly source: RecipeSource & { readonly overrides: readonly string[] };
}

interface ReadRecipeOptions {
  readonly overrides?: readonly string[];
  readonly isSent?: boolean;
  /** Shows problems only if one is an error. */
  readonly hidesWarnings?: boolean;
}

/**
 * Reads and resolves a recipe. Relative paths in it start from its own folder, those of overrides from the current one; for a daemon on
 * another machine, both start from the folder that is configured there. Every problem is shown on stderr, including warnings, unless they are hidden.
 * @throws CliError (status 2) if one of them is an error
 */
export async function readRecipe(
  { terminal, cwd, settings }: CommandContext,
  file: string,
  { overrides = [], isSent = false, hidesWarnings = false }: ReadRecipeOptions = {},
): Promise<ReadRecipe> {
  const text = await readRecipeText(file, cwd);
  const far = isSent ? settings.remoteDaemon?.dir : undefined;
  const all = absoluteOverrides(overrides, far ?? cwd);
  const parsed = parseRecipe(text, { fileName: file, overrides: all });
  const isShown = parsed.recipe === undefined || !hidesWarnings;
  const recipe = acceptRecipe(parsed, file, text, problems => isShown && terminal.say('info', problems));
  const fileName = file === STDIN ? 'run.rowtune.yaml' : path.basename(file);
  return { recipe, source: { text, fileName, baseDir: far ?? recipeFolder(file, cwd), overrides: all } };
}

function acceptRecipe({ recipe, problems }: ParsedRecipe, file: string, text: string, show: (problems: string) => unknown): Recipe {
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

/** A problem for programs: lines and columns from 1, as in the text output. */
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
