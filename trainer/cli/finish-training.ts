/** The end of a training on the command line. */
import { checkResult } from './check-result.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { shownPath } from './job-command.ts';
import { runTable } from './show/run-table.ts';

/** Shows the table of a run that ended, by itself or on request. */
export function finishTraining({ terminal, cwd }: CommandContext, value: unknown): CommandResult {
  const result = checkResult('train', value);
  terminal.print(runTable(result, folder => shownPath(folder, cwd)));
  if (result.state === 'stopped') terminal.say('info', `resume it with: ${resumeCommandOf(result.runDir, cwd)}`);
  return { value: { ok: true, ...result } };
}

export const resumeCommandOf = (runDir: string, cwd: string): string => `rowtune resume ${shownPath(runDir, cwd)}`;
