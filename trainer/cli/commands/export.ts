/** `rowtune export`: writes the result of a run in one of the formats of the catalog. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Option } from 'commander';
import { artifactCatalog, type ExportFormat, type ExportType, exportFormats, exportTypes, typesOf } from '../../catalog/artifacts.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { modelAndAdapter, requireNoRuns } from '../model-and-adapter.ts';
import { runWorker } from '../run-worker.ts';

interface Options {
  readonly format?: ExportFormat;
  readonly type?: ExportType;
  readonly output?: string;
  readonly model?: string;
  readonly overwrite?: boolean;
}

const typesHelp = exportFormats
  .filter(format => typesOf(format).length > 0)
  .map(format => `${format}: ${typesOf(format).join(', ')}`)
  .join('. ');

export const addExport: AddCommand = (program, surroundings) => {
  const command = program
    .command('export')
    .description('export the result of a run; the export is loaded again and its logits are compared')
    .argument('<run>', 'a run folder, or one of its checkpoints')
    .addOption(
      new Option('--format <name>', exportFormats.map(name => `${name}: ${artifactCatalog[name].summary}`).join('. ')).choices(
        exportFormats,
      ),
    )
    .addOption(new Option('--type <name>', `of the weights; the first of each list if left out. ${typesHelp}`).choices(exportTypes))
    .option('--output <dir>', 'the folder to write')
    .option('--model <path>', 'the base model, if it is no longer where the run found it')
    .option('--overwrite', 'replace an earlier export in this folder; other files are never replaced');
  withCommonOptions(command, [
    'rowtune export runs/spam --format merged --output spam-model',
    'rowtune export runs/spam --format peft --output spam-peft',
    'rowtune export runs/chat --format gguf --type Q4_K_M --output chat-gguf',
  ]).action((run: string) => runCommandWork(command, surroundings, context => exportRun(context, run, command.opts<Options>())));
};

async function exportRun(
  { settings, terminal, cwd }: CommandContext,
  run: string,
  { format, type, output, model, overwrite = false }: Options,
): Promise<CommandResult> {
  if (format === undefined) {
    const hint = ['Choose one:', ...exportFormats.map(name => `  --format ${name}: ${artifactCatalog[name].summary}`)].join('\n');
    throw new CliError('the format of the export is missing', { code: 'usage', exitStatus: EXIT.usage, hint });
  }
  if (output === undefined) {
    const hint = `Add --output with a folder that does not exist yet, for example --output ${path.basename(run)}-${artifactCatalog[format].suffix}`;
    throw new CliError('the folder of the export is missing', { code: 'usage', exitStatus: EXIT.usage, hint });
  }
  const outputDir = path.resolve(cwd, output);
  const adapter = path.resolve(cwd, run);
  if (!existsSync(adapter)) {
    await requireNoRuns(adapter, run);
    throw new CliError(`there is no run at ${run}`, { code: 'run-missing', exitStatus: EXIT.usage, hint: 'List runs with: rowtune runs' });
  }
  const request = {
    kind: 'export',
    context: jobContext(settings, cwd),
    adapter,
    base: model && (await modelAndAdapter(model, { revision: 'main', cwd })).model,
    format,
    type,
    outputDir,
    overwrite,
  } as const;
  const value = await runWorker({ request, terminal, threads: 0 });
  terminal.print(`wrote ${outputDir}`);
  const commands = Object.entries(value.commands ?? {});
  if (commands.length > 0) terminal.print('In that folder:');
  for (const [program, line] of commands) terminal.print(`  ${program}: ${line}`);
  return { value: { ok: true, ...value } };
}
