/** `rowtune runs`: every run below a folder, newest first. */
import path from 'node:path';
import { RUNS_FOLDER } from '../../jobs/free-run-folder.ts';
import { listRuns, type RunSummary } from '../../run/run-folder.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { compact, duration, table } from '../../protocol/format.ts';
import { shownPath } from '../job-command.ts';

export const addRuns: AddCommand = (program, surroundings) => {
  const command = program.command('runs').description('list runs, newest first').argument('[dir]', 'where to look', RUNS_FOLDER);
  withCommonOptions(command, ['rowtune runs', 'rowtune runs ~/experiments --json']).action((dir: string) =>
    runCommandWork(command, surroundings, context => runs(context, dir)),
  );
};

async function runs({ terminal, cwd }: CommandContext, dir: string): Promise<CommandResult> {
  const found = await listRuns(path.resolve(cwd, dir));
  terminal.print(
    found.length === 0
      ? `no runs in ${dir}`
      : table([['run', 'state', 'step', 'loss', 'last heard', 'folder'], ...found.map(run => row(run, cwd))]),
  );
  return { value: { ok: true, runs: found } };
}

function row({ name, state, step, totalSteps, loss, ageSeconds, runDir, reason }: RunSummary, cwd: string): string[] {
  return [
    name,
    reason === undefined ? state : `${state} (${reason})`,
    `${step}/${totalSteps}`,
    loss === undefined ? '' : compact(loss),
    `${duration(ageSeconds)} ago`,
    shownPath(runDir, cwd),
  ];
}
