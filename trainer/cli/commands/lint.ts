/** `rowtune lint`: the editor's checks of recipes and model configs, in a terminal or in CI. */

import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Option } from 'commander';
import manifest from '../../../package.json' with { type: 'json' };
import { keepOriginal, writeTextFile } from '../../files/durable-file.ts';
import { fixDocument, type LintSources, lintDocument } from '../../lint/lint.ts';
import type { LintProblem } from '../../lint/problems/lint-problem.ts';
import { conversion } from '../../lint/quick-fixes.ts';
import { toSarif } from '../../lint/sarif.ts';
import { availableMemoryBytes } from '../../machine/machine.ts';
import { formatProblems, hasErrors } from '../../protocol/problem.ts';
import { START } from '../../protocol/recipe/located.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { readSources } from '../../reader/lint-sources.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { readRecipeText, STDIN, toJson, UNREADABLE } from '../read-recipe.ts';
import { withReader } from '../with-reader.ts';

/** Maximum time for the model, the data or the estimate of a file; the editor waits as long. */
const FILE_MS = 20_000;

interface LintOptions {
  readonly fix: boolean;
  readonly format: 'text' | 'json' | 'sarif';
  readonly json?: boolean;
}

export const addLint: AddCommand = (program, surroundings) => {
  const command = program
    .command('lint')
    .description('check recipes and model configs against their models and data; report every problem with its line and column')
    .argument(
      '<files...>',
      'recipes; config.json, generation_config.json, adapter_config.json, (pre)processor_config.json or an index of a model folder',
    )
    .option('--fix', 'apply all safe fixes to the files; convert recipes of other tools', false)
    .addOption(new Option('--format <kind>', 'output format').choices(['text', 'json', 'sarif']).default('text'));
  withCommonOptions(command, [
    'rowtune lint spam.rowtune.yaml',
    'rowtune lint examples/*.rowtune.yaml --format sarif > lint.sarif',
    'rowtune lint axolotl.yaml --fix',
    'rowtune lint models/*/config.json',
  ])
    .addHelpText(
      'after',
      '\nRelative paths in a recipe start from its folder; - reads a recipe from stdin, with paths from the current folder.\nExit status: 0 without errors (warnings do not count), 2 with errors or if a file cannot be read.',
    )
    .action((files: string[], options: LintOptions) => runCommandWork(command, surroundings, context => lint(context, files, options)));
};

interface Linted {
  readonly file: string;
  readonly text: string;
  readonly problems: readonly LintProblem[];
  readonly fixed: boolean;
  /** The path of the copy of another tool's original recipe. */
  readonly original?: string;
  /** The other tool whose recipe the file still is. */
  readonly tool?: string;
}

async function lint(context: CommandContext, files: readonly string[], { fix, format, json = false }: LintOptions): Promise<CommandResult> {
  const { terminal, cwd, settings } = context;
  if (json && format === 'sarif')
    throw new CliError('--json and --format sarif both print JSON', { code: 'usage', exitStatus: EXIT.usage, hint: 'Use one of them.' });
  const availableBytes = availableMemoryBytes();
  const machine = {
    availableBytes: () => availableBytes,
    farDaemon: () => settings.remoteDaemon && { url: settings.remoteDaemon.url, folder: settings.remoteDaemon.dir },
  };
  const linted: Linted[] = [];
  await withReader(async reader => {
    const sources: LintSources = { ...readSources(reader, settings.cacheDir), ...machine };
    for (const file of files) linted.push(await lintFile(file, { cwd, fix, sources }).catch(error => unreadable(file, error, files)));
  }, FILE_MS);
  const ok = linted.every(({ problems }) => !hasErrors(problems));
  const value = {
    ok,
    files: linted.map(({ file, problems, fixed, original, tool }) => ({ file, fixed, original, tool, problems: problems.map(toJson) })),
  };
  if (format === 'json') terminal.print(JSON.stringify(value, undefined, 2));
  else if (format === 'sarif') terminal.print(JSON.stringify(sarifOf(linted, cwd), undefined, 2));
  else for (const found of linted) terminal.print(textOf(found));
  return { value, exitStatus: ok ? EXIT.ok : EXIT.usage };
}

async function lintFile(
  file: string,
  { cwd, fix, sources }: { readonly cwd: string; readonly fix: boolean; readonly sources: LintSources },
): Promise<Linted> {
  if (fix && file === STDIN)
    throw new CliError("--fix can't write to standard input", {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: 'Name the file.',
    });
  const full = path.resolve(cwd, file === STDIN ? 'stdin.rowtune.yaml' : file);
  const before = await readRecipeText(file, cwd);
  const text = fix ? fixDocument({ text: before, file: full }) : before;
  const original = text === before ? undefined : await replaceText({ file, full, cwd, before, text });
  const tool = conversion({ text, file: full })?.tool;
  return { file, text, problems: await lintDocument({ text, file: full }, sources), fixed: text !== before, original, tool };
}

/** One file that cannot be read does not end the check of the others. @throws error if it is the only file, or something else is wrong */
function unreadable(file: string, error: unknown, { length }: readonly string[]): Linted {
  if (length === 1 || !(error instanceof CliError) || error.code !== UNREADABLE) throw error;
  const { message, hint } = error;
  const problem = { code: UNREADABLE, severity: 'error', message: `${message}. ${hint}`, path: [], range: START } as const;
  return { file, text: '', problems: [problem], fixed: false };
}

interface Replacement {
  readonly file: string;
  readonly full: string;
  readonly cwd: string;
  readonly before: string;
  readonly text: string;
}

/**
 * Writes the fixed text atomically, following links to the file itself.
 * @returns the path of a copy of another tool's original recipe, which that tool may still need
 */
async function replaceText({ file, full, cwd, before, text }: Replacement): Promise<string | undefined> {
  const real = await realpath(full);
  const original = conversion({ text: before, file: full }) === undefined ? undefined : await keepOriginal(real, before);
  if ((await readRecipeText(file, cwd)) !== before)
    throw new CliError(`${file} was not fixed, because another program has just changed it`, { code: 'file-changed', hint: 'Try again.' });
  await writeTextFile(real, text);
  return original;
}

function textOf({ file, text, problems, fixed, original, tool }: Linted): string {
  const kept = original === undefined ? '' : `; the original is kept as ${path.basename(original)}`;
  const head = fixed ? `${file}: fixed${kept}\n` : '';
  if (problems.length === 0) return fixed ? head.trimEnd() : `${file}: no problems`;
  const convert =
    tool === undefined
      ? ''
      : `\n${file} is a recipe of ${tool}. To convert it, and keep the original: rowtune lint ${shellWord(file)} --fix`;
  return `${head}${formatProblems(problems, file, text)}${convert}`;
}

function sarifOf(linted: readonly Linted[], cwd: string): object {
  const toUri = (file: string): string => {
    const relative = path.relative(cwd, path.resolve(cwd, file));
    return relative.startsWith('..') || path.isAbsolute(relative)
      ? pathToFileURL(path.resolve(cwd, file)).href
      : relative.split(path.sep).map(encodeURIComponent).join('/');
  };
  const files = linted.map(({ file, problems }) => ({ uri: toUri(file), problems }));
  return toSarif({ version: manifest.version, files, toUri });
}
