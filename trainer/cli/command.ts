/** The common parts of all commands: options, terminal, and the one place where errors are caught. */

import type { Command } from 'commander';
import { codeOf } from '../protocol/error-facts.ts';
import { describeFailure } from '../run-error.ts';
import type { Settings } from '../settings.ts';
import { CliError, EXIT, type ExitStatus } from './cli-error.ts';
import { openLogFile } from './show/log-file.ts';
import { openTerminal, type Terminal } from './show/terminal.ts';

export interface CommandContext {
  readonly settings: Settings;
  readonly terminal: Terminal;
  /** The base of relative paths. */
  readonly cwd: string;
}

/** The result of a command: the object that --json prints, and the exit status if it is not 0. */
export interface CommandResult {
  readonly value: unknown;
  readonly exitStatus?: ExitStatus;
}

export interface Surroundings {
  readonly settings: Settings;
  readonly cwd: string;
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, surroundings: Surroundings) => void;

/** The examples of each command, which the reference in docs/ shows, too. */
const examplesByCommand = new WeakMap<Command, readonly string[]>();

export const examplesOf = (command: Command): readonly string[] => examplesByCommand.get(command) ?? [];

/** Adds the options that every command has, and the examples after --help. */
export function withCommonOptions(command: Command, examples: readonly string[]): Command {
  command
    .option('--json', 'print only one JSON object to stdout')
    .option('--verbose', 'print more, including stack traces of unexpected errors');
  return examplesText(command, examples);
}

/** Adds the examples after --help, and registers them for the reference. */
export function examplesText(command: Command, examples: readonly string[]): Command {
  examplesByCommand.set(command, examples);
  return command.addHelpText('after', `\nExamples:\n${examples.map(example => `  $ ${example}`).join('\n')}`);
}

/** Runs a command; never rejects. Sets the exit status and does not exit, so that pending output is still written. */
export async function runCommandWork(
  command: Command,
  { settings, cwd }: Surroundings,
  work: (context: CommandContext) => Promise<CommandResult>,
): Promise<void> {
  const { json = false, verbose = false } = command.opts<{ json?: boolean; verbose?: boolean }>();
  const log = openLogFile(settings.cacheDir, command.name());
  const terminal = openTerminal({ json, verbose, color: settings.color, log });
  try {
    const { value, exitStatus = EXIT.ok } = await work({ settings, terminal, cwd });
    terminal.finish(value);
    process.exitCode = exitStatus;
  } catch (error) {
    process.exitCode = reportError(error, terminal);
  }
}

/** Reports an error. The stack of an unexpected error is written to the log and shown with --verbose. */
function reportError(error: unknown, terminal: Terminal): ExitStatus {
  const { message, hint, code, exitStatus, details } = error instanceof CliError ? error : foreign(error, terminal);
  terminal.progress.end();
  terminal.say('error', message);
  if (hint !== undefined) terminal.say('info', hint);
  if (terminal.verbose && error instanceof Error && !(error instanceof CliError)) terminal.say('info', error.stack ?? '');
  terminal.finish({ ok: false, error: { code, message, hint, ...details } });
  return exitStatus;
}

/** Converts other errors: those with their own name were written for the user, those of the system are known, the rest are bugs. */
function foreign(error: unknown, terminal: Terminal): CliError {
  if (!(error instanceof Error)) return new CliError(String(error), { code: 'unexpected' });
  const { name, message } = error;
  if (!/^(Error|TypeError|RangeError|ReferenceError|SyntaxError)$/.test(name)) {
    const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
    return new CliError(message, { code: codeOf(error) ?? kebab(name), hint });
  }
  const { event, unexpected } = describeFailure(error);
  if (!unexpected) return new CliError(event.message, event);
  terminal.log.append(error.stack ?? message);
  return new CliError(message, { code: 'unexpected', hint: `See ${terminal.log.path} for details, or use --verbose.` });
}

/** ModelFileError → model-file-error. */
const kebab = (name: string): string => name.replaceAll(/(?<=[a-z\d])[A-Z]/g, letter => `-${letter}`).toLowerCase();
