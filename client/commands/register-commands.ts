/** Registers every command. If a command throws, the user sees the error with its hint. */

import { commands, type Disposable } from 'vscode';
import { namesOf } from '../../trainer/catalog/entries.ts';
import { commandsWithTrust, requireTrust } from '../trust.ts';
import { clusterCommands } from './cluster-commands.ts';
import type { CommandContext } from './command-context.ts';
import { COMMANDS, type CommandName, type CommandTable } from './command-ids.ts';
import { convertCommands } from './convert-commands.ts';
import { engineCommands } from './engine-commands.ts';
import { helpCommands } from './help-commands.ts';
import { newRecipeCommands } from './new-recipe-commands.ts';
import { noteCommands } from './note-commands.ts';
import { processCommands } from './process-commands.ts';
import { pushCommands } from './push-commands.ts';
import { recipeCommands } from './recipe-commands.ts';
import { runCommands } from './run-commands.ts';
import { sweepCommands } from './sweep-commands.ts';
import { trainingCommands } from './training-commands.ts';

export function registerCommands(context: CommandContext): Disposable[] {
  // The type requires a handler for every command.
  const table: CommandTable<CommandName> = {
    ...trainingCommands(context),
    ...sweepCommands(context),
    ...clusterCommands(context),
    ...recipeCommands(context),
    ...runCommands(context),
    ...noteCommands(context),
    ...pushCommands(context),
    ...newRecipeCommands(context),
    ...convertCommands(context),
    ...engineCommands(context),
    ...processCommands(context),
    ...helpCommands(context),
  };
  const withTrust = commandsWithTrust(context.app.context.extension.packageJSON);
  return namesOf(table).map(name =>
    commands.registerCommand(COMMANDS[name], async (...args: readonly unknown[]) => {
      try {
        if (withTrust.has(COMMANDS[name])) requireTrust();
        return await table[name](...args);
      } catch (error) {
        context.app.notify.error(error);
        return undefined;
      }
    }),
  );
}
