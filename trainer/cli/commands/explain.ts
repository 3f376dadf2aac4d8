/** `rowtune explain`: the documentation of a linter code. */

import { didYouMean } from '../../catalog/did-you-mean.ts';
import { diagnosticOf, diagnosticSections } from '../../lint/diagnostics/diagnostics.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';

export const addExplain: AddCommand = (program, surroundings) => {
  const command = program
    .command('explain')
    .description('explain a code that the editor or `rowtune lint` reports')
    .argument('<code>', 'the code, for example unknown-key');
  withCommonOptions(command, ['rowtune explain unknown-key', 'rowtune explain contradictory-config --json']).action((code: string) =>
    runCommandWork(command, surroundings, async context => explain(context, code)),
  );
};

function explain({ terminal }: CommandContext, code: string): CommandResult {
  const found = diagnosticOf(code);
  if (found === undefined) {
    const codes = diagnosticSections.flatMap(({ diagnostics }) => Object.keys(diagnostics));
    const near = didYouMean(code, codes);
    const hint =
      near === undefined ? 'rowtune lint prints the code of each problem after error, warning, info or hint.' : `Did you mean ${near}?`;
    throw new CliError(`the linter has no code ${code}`, { code: 'usage', exitStatus: EXIT.usage, hint });
  }
  const { about, fix } = found;
  terminal.print([code, about, ...(fix === undefined ? [] : [`Fix: ${fix}`])].join('\n\n'));
  return { value: { ok: true, code, about, fix } };
}
