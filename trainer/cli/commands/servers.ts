/** `rowtune mcp` and `rowtune language-server`: servers that another program starts and speaks with over stdin and stdout. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { agentToolNames } from '../../catalog/agent-tools.ts';
import { EXIT } from '../cli-error.ts';
import { type AddCommand, examplesText } from '../command.ts';

export const addMcp: AddCommand = program => {
  const command = program
    .command('mcp')
    .description('run an MCP server over stdin and stdout: tools with which agents check, estimate, train and compare')
    .option('--allow-changes', 'start and stop training without asking, for clients that cannot ask (or that ask themselves)', false);
  examplesText(command, ['rowtune mcp']);
  command
    .addHelpText('after', `\nTools: ${agentToolNames.join(', ')}.\nTools that start or stop a training ask through the client first.`)
    .action(({ allowChanges }: { readonly allowChanges: boolean }) => serve('mcp.js', allowChanges ? ['--allow-changes'] : []));
};

export const addLanguageServer: AddCommand = program => {
  const command = program
    .command('language-server')
    .description('run the language server for recipes and model configs, for any editor that speaks LSP')
    .requiredOption('--stdio', 'speak over stdin and stdout');
  examplesText(command, ['rowtune language-server --stdio']);
  command.action(() => serve('server.js', ['--stdio']));
};

/** Runs a bundle of this package to its end, with its standard streams connected to ours. */
function serve(bundle: string, args: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL(`./${bundle}`, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  return new Promise(resolve => {
    child.once('error', error => {
      process.stderr.write(`error: the server does not start: ${error.message}\n`);
      process.exitCode = EXIT.failed;
      resolve();
    });
    child.once('close', code => {
      process.exitCode = code ?? EXIT.failed;
      resolve();
    });
  });
}
