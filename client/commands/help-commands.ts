/** Open Settings and Get Started: open the editor's pages about this extension. */
import { commands, env } from 'vscode';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** The id of the walkthrough in package.json. */
const WALKTHROUGH = 'rowtune.start';

export function helpCommands({ app }: CommandContext): CommandTable<'openSettings' | 'getStarted'> {
  const { id } = app.context.extension;
  return {
    openSettings: name => {
      const query = typeof name === 'string' ? name : `@ext:${id}`;
      // In a window on another machine, the user's own settings do not list those that belong to a machine.
      const command = env.remoteName === undefined ? 'workbench.action.openSettings' : 'workbench.action.openRemoteSettings';
      return commands.executeCommand(command, { query });
    },
    getStarted: () => commands.executeCommand('workbench.action.openWalkthrough', `${id}#${WALKTHROUGH}`, false),
  };
}
