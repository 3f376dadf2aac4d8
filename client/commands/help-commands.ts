/** Open Settings and Get Started: open the editor's pages about this extension. */
import { commands } from 'vscode';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** The id of the walkthrough in package.json. */
const WALKTHROUGH = 'rowtune.start';

export function helpCommands({ app }: CommandContext): CommandTable<'openSettings' | 'getStarted'> {
  const { id } = app.context.extension;
  return {
    openSettings: () => commands.executeCommand('workbench.action.openSettings', `@ext:${id}`),
    getStarted: () => commands.executeCommand('workbench.action.openWalkthrough', `${id}#${WALKTHROUGH}`, false),
  };
}
