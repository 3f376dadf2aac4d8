/** Ends a training on the command line. */
import { answersText, writesText } from '../catalog/objectives.ts';
import { folderName } from '../protocol/run/run-names.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { readRunState } from '../run/run-state.ts';
import { checkResult } from './check-result.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { pathWord, shownPath } from './job-command.ts';
import { runTable } from './show/run-table.ts';

/** Shows the table of a run that has ended, by itself or on request, and the commands that come next. */
export async function finishTraining({ terminal, cwd }: CommandContext, value: unknown): Promise<CommandResult> {
  const result = checkResult('train', value);
  const { state, runDir, checkpoint } = result;
  terminal.print(runTable(result, folder => shownPath(folder, cwd)));
  if (state === 'stopped') terminal.say('info', `resume it with: ${resumeCommandOf(runDir, cwd)}`);
  else if (checkpoint !== null) {
    const run = pathWord(runDir, cwd);
    const name = folderName(runDir);
    // The folder of a run on another machine does not exist here.
    const task = (await readRunState(runDir).catch(() => undefined))?.task;
    if (task !== undefined && answersText(task)) terminal.say('info', `try it with: rowtune generate ${run} --prompt "…"`);
    terminal.say('info', `export it with: rowtune export ${run} --format merged --output ${shellWord(`${name}-model`)}`);
    if (task !== undefined && writesText(task) && result.takesGguf === true)
      terminal.say('info', `for Ollama and LM Studio: rowtune export ${run} --format gguf --output ${shellWord(`${name}-gguf`)}`);
  }
  return { value: { ok: true, ...result } };
}

export const resumeCommandOf = (runDir: string, cwd: string): string => `rowtune resume ${pathWord(runDir, cwd)}`;
