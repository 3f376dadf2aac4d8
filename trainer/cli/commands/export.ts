/** `rowtune export`: writes the result of a run as a small adapter, a whole model, or a PEFT adapter. */
import path from 'node:path';
import { Option } from 'commander';
import { artifactCatalog, type ExportFormat, exportFormats } from '../../catalog/artifacts.ts';
import { jobContext } from '../../settings.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { runWorker } from '../run-worker.ts';

interface Options {
  readonly format: ExportFormat;
  readonly output: string;
  readonly overwrite?: boolean;
}

export const addExport: AddCommand = (program, surroundings) => {
  const command = program
    .command('export')
    .description('export the result of a run; the export is loaded again and its logits are compared')
    .argument('<run>', 'a run folder, or one of its checkpoints')
    .addOption(
      new Option('--format <name>', exportFormats.map(name => `${name}: ${artifactCatalog[name].summary}`).join('. '))
        .choices(exportFormats)
        .makeOptionMandatory(),
    )
    .requiredOption('--output <dir>', 'the folder to write')
    .option('--overwrite', 'replace an earlier export in this folder; other files are never replaced');
  withCommonOptions(command, [
    'rowtune export runs/spam --format merged --output spam-model',
    'rowtune export runs/spam --format peft --output spam-peft',
  ]).action((run: string) => runCommandWork(command, surroundings, context => exportRun(context, run, command.opts<Options>())));
};

async function exportRun(
  { settings, terminal, cwd }: CommandContext,
  run: string,
  { format, output, overwrite = false }: Options,
): Promise<CommandResult> {
  const outputDir = path.resolve(cwd, output);
  const request = {
    kind: 'export',
    context: jobContext(settings, cwd),
    adapter: path.resolve(cwd, run),
    format,
    outputDir,
    overwrite,
  } as const;
  const value = (await runWorker({ request, terminal, threads: 0 })) as object;
  terminal.print(`wrote ${outputDir}`);
  return { value: { ok: true, outputDir, ...value } };
}
