/** `rowtune language-server`: the language server of recipes and model configs, for other editors. */
import { type AddCommand, examplesText } from '../command.ts';
import { startBundle } from '../start-bundle.ts';

export const addLanguageServer: AddCommand = program => {
  const command = program
    .command('language-server')
    .description('run the language server for recipes and model configs, for any editor that speaks LSP')
    .requiredOption('--stdio', 'speak over stdin and stdout');
  examplesText(command, ['rowtune language-server --stdio']);
  command.action(() => startBundle('server.js', ['--stdio']));
};
