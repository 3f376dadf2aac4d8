/** Runs a command of the trainer. A notification shows its newest line and a Cancel button. */
import { ProgressLocation, window } from 'vscode';
import type { App } from '../app.ts';

/** Number of characters of a line that fit in a notification. */
const SHOWN_CHARS = 120;

export interface CommandLine {
  readonly title: string;
  readonly args: readonly string[];
  readonly onLine?: (line: string) => void;
}

/** @returns the JSON that the command prints @throws DaemonError with the command's own error, or 'canceled' */
export async function runCommandLine(app: App, { title, args, onLine }: CommandLine): Promise<Readonly<Record<string, unknown>>> {
  const controller = new AbortController();
  return window.withProgress({ location: ProgressLocation.Notification, title, cancellable: true }, (progress, token) => {
    token.onCancellationRequested(() => controller.abort());
    return app.rowtune(args, {
      signal: controller.signal,
      onLine: line => {
        onLine?.(line);
        progress.report({ message: line.replace(/^\S+\s+(?:info|INFO):?\s+/, '').slice(0, SHOWN_CHARS) });
      },
    });
  });
}
