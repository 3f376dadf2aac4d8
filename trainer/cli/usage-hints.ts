/** Hints about options that a command does not have, where commander finds no similar one. */
import type { Command } from 'commander';
import { settings } from '../protocol/recipe/recipe-schema.ts';

/** Adds the hints to a command and to those below it. */
export function addUsageHints(command: Command): void {
  command.configureOutput({
    outputError: (text, write) => {
      write(text);
      const hint = hintOf(text, command);
      if (hint !== undefined) write(`(${hint})\n`);
    },
  });
  for (const child of command.commands) addUsageHints(child);
}

/** The setting that an option is the name of, or an option that has all words of it. */
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
