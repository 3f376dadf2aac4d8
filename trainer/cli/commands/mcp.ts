/** `rowtune mcp`: a server for the Model Context Protocol that offers the tools of agents. */
import { agentToolNames } from '../../catalog/agent-tools.ts';
import { type AddCommand, examplesText } from '../command.ts';
import { startBundle } from '../start-bundle.ts';

export const addMcp: AddCommand = program => {
  const command = program
    .command('mcp')
    .description('run an MCP server over stdin and stdout: tools with which agents check, estimate, train and compare')
    .option('--allow-changes', 'start and stop training without asking, for clients that cannot ask (or that ask themselves)', false);
  examplesText(command, ['rowtune mcp']);
  command
    .addHelpText('after', `\nTools: ${agentToolNames.join(', ')}.\nTools that start or stop a training ask through the client first.`)
    .action(({ allowChanges }: { readonly allowChanges: boolean }) => startBundle('mcp.js', allowChanges ? ['--allow-changes'] : []));
};
