/** `rowtune metrics`: the newest metrics of a run. */
import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import { readMetrics } from '../../run/metrics-file.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { trainingsOfDaemon, waitingRuns } from '../daemon/waiting-runs.ts';
import { requireRun } from '../job-command.ts';
import { metricsTable } from '../show/metrics-table.ts';

const DEFAULT_LINES = 20;
/** Maximum number of lines to show; for more, read metrics.jsonl itself. */
const MAX_LINES = 10_000;

export const addMetrics: AddCommand = (program, surroundings) => {
  const command = program
    .command('metrics')
    .description('show the newest metrics of a run')
    .argument('<run>', 'a run folder')
    .option('--last <lines>', `the number of lines, at most ${MAX_LINES}`, parseLines, DEFAULT_LINES)
    .option('--all', 'a column for every metric, however wide the table is');
  const examples = ['rowtune metrics runs/spam', 'rowtune metrics runs/spam --last 100 --all', 'rowtune metrics runs/spam --json'];
  withCommonOptions(command, examples).action((run: string, options: MetricsOptions) =>
    runCommandWork(command, surroundings, context => metrics(context, run, options)),
  );
};

interface MetricsOptions {
  readonly last: number;
  readonly all?: true;
}

function parseLines(text: string): number {
  const lines = Number(text);
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > MAX_LINES)
    throw new InvalidArgumentError(`Write a whole number from 1 to ${MAX_LINES}.`);
  return lines;
}

async function metrics(context: CommandContext, run: string, { last, all: isWide }: MetricsOptions): Promise<CommandResult> {
  const { terminal, cwd, settings } = context;
  const runDir = path.resolve(cwd, run);
  await requireRun(runDir, run, settings).catch(async (error: unknown) => {
    // A run that waits for the daemon has no folder yet.
    const jobs = settings.remoteDaemon === undefined ? await trainingsOfDaemon(context) : [];
    if ((await waitingRuns({ jobs, folder: runDir, known: [], isHere: true })).length === 0) throw error;
  });
  const all = await readMetrics(runDir);
  const lines = all.slice(-last);
  terminal.print(lines.length === 0 ? 'no metrics yet' : metricsTable(lines, isWide ? undefined : terminal.width));
  return { value: { ok: true, runDir, count: all.length, lines } };
}
