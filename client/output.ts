/** The output channel *Rowtune*: what the extension and the jobs say, from the wanted level up. */
import { type OutputChannel, window } from 'vscode';
import type { LogLevel } from '../trainer/protocol/messages/job-messages.ts';
import { isLogged } from './client-settings.ts';

export interface Output {
  readonly channel: OutputChannel;
  write(level: LogLevel, message: string): void;
  dispose(): void;
}

/** @param lowest asked for at every line, as the setting may change */
export function createOutput(lowest: () => LogLevel): Output {
  // Its language colors times and levels.
  const channel = window.createOutputChannel('Rowtune', 'log');
  return {
    channel,
    write(level, message) {
      if (isLogged(level, lowest())) channel.appendLine(`${new Date().toISOString()} [${level}] ${message}`);
    },
    dispose: () => channel.dispose(),
  };
}
