/** The error about a run that should be followed or stopped, and that no daemon has. */
import path from 'node:path';
import { isActive } from '../../protocol/run/run-activity.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { summarizeRun } from '../../run/run-folder.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';

export const SHOW_STATE = 'List the runs and their states with: rowtune runs';

/** An active run was started without the daemon: its terminal stops it. */
export async function unknownRun(
  { settings, cwd }: Pick<CommandContext, 'settings' | 'cwd'>,
  run: string,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<CliError> {
  const found = settings.remoteDaemon === undefined ? await summarizeRun(path.resolve(cwd, run)) : undefined;
  const hint =
    found !== undefined && isActive(found.state)
      ? `Process ${found.pid} trains it without the daemon. Stop it with Ctrl-C in its terminal; see its metrics with: rowtune metrics ${shellWord(run)}`
      : SHOW_STATE;
  return new CliError(message, { code, exitStatus: EXIT.usage, hint });
}
