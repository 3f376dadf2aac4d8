/** The output channel *Rowtune*: lines of the extension and of jobs, from the chosen level up. */
import { type OutputChannel, window } from 'vscode';
import type { LogLevel } from '../trainer/protocol/messages/job-messages.ts';
import { isLogged } from './client-settings.ts';

export interface Output {
  readonly channel: OutputChannel;
  write(level: LogLevel, message: string): void;
  dispose(): void;
}

/** @param lowest called for every line, because the setting may change */
export function createOutput(lowest: () => LogLevel): Output {
  // The language `log` colors times and levels.
  const channel = window.createOutputChannel('Rowtune', 'log');
  return {
    channel,
    write(level, message) {
      if (isLogged(level, lowest())) channel.appendLine(`${new Date().toISOString()} [${level}] ${message}`);
    },
    dispose: () => channel.dispose(),
  };
}
