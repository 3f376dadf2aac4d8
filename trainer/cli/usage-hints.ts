/** Hints for unknown options to which commander finds no similar one, and for unknown commands. */
import type { Command } from 'commander';
import { didYouMean } from '../catalog/did-you-mean.ts';
import { settings } from '../protocol/recipe/recipe-schema.ts';

/** Adds the hints to a command and its subcommands. */
export function addUsageHints(command: Command): void {
  command.configureOutput({
    outputError: (text, write) => {
      write(text);
      const hint = hintOf(text, command);
      if (hint !== undefined) write(`(${hint})\n`);
    },
  });
  if (command.commands.length > 0) command.addHelpText('before', () => refuseUnknown(command));
  for (const child of command.commands) addUsageHints(child);
}

/** Refuses an unknown command next to `--help` or `help`, which commander would answer with a general page. */
function refuseUnknown(command: Command): '' {
  const word = command.args.find(arg => arg !== 'help' && !arg.startsWith('-'));
  const names = command.commands.map(child => child.name());
  if (word === undefined || names.includes(word)) return '';
  const near = didYouMean(word, names);
  return command.error(`error: unknown command '${word}'${near === undefined ? '' : `\n(Did you mean ${near}?)`}`, {
    code: 'commander.unknownCommand',
    exitCode: 1,
  });
}

/** A hint for an unknown option: the setting with its name, or an option that contains all of its words. */
function hintOf(text: string, { registeredArguments, options }: Command): string | undefined {
  const [, name] = /unknown option '--([\w-]+)/.exec(text) ?? [];
  if (name === undefined || text.includes('Did you mean')) return undefined;
  const key = name.replaceAll('-', '_');
  const takesSettings = registeredArguments.some(argument => argument.name() === 'overrides');
  if (takesSettings && Object.hasOwn(settings, key)) return `To set it, write ${key}=VALUE without dashes`;
  const words = name.split('-');
  const near = options.find(({ long }) => words.every(word => long?.split('-').includes(word)));
  return near && `Did you mean ${near.long}?`;
}
