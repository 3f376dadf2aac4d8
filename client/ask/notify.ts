/** Notifications: an error with its hint, and buttons for the steps in the hint. */
import { commands, type Uri, window } from 'vscode';
import type { Output } from '../output.ts';
import { isCanceled, logText, reportError } from './error-report.ts';
import { type Remedy, remedies } from './remedies.ts';

export interface ErrorPlace {
  /** The recipe that the error is about. */
  readonly recipe?: Uri;
}

export interface Notifier {
  /** Logs the whole error and shows the user a sentence; shows nothing if the user ended the action. */
  error(error: unknown, place?: ErrorPlace): void;
  warn(message: string, names?: readonly Remedy[]): void;
  info(message: string): void;
}

/** @param isRemote true if the daemon is on another machine */
export function createNotifier(output: Output, isRemote: () => boolean): Notifier {
  const take = (name: Remedy, { recipe }: ErrorPlace): Thenable<unknown> | undefined => {
    const { command, args = [] } = remedies[name];
    if (command !== undefined) return commands.executeCommand(command, ...args);
    if (recipe !== undefined) return window.showTextDocument(recipe);
    output.channel.show(true);
    return undefined;
  };

  const show = async (
    tell: (message: string, ...labels: string[]) => Thenable<string | undefined>,
    message: string,
    names: readonly Remedy[],
    place: ErrorPlace,
  ): Promise<void> => {
    const chosen = await tell(message, ...names.map(name => remedies[name].label));
    const name = names.find(each => remedies[each].label === chosen);
    if (name !== undefined) await take(name, place);
  };

  return {
    error(error, place = {}) {
      if (isCanceled(error)) return;
      output.write('error', logText(error));
      const report = reportError(error, { hasRecipe: place.recipe !== undefined, isRemote: isRemote() });
      void show(window.showErrorMessage, report.message, report.remedies, place);
    },
    warn(message, names = []) {
      output.write('warning', message);
      void show(window.showWarningMessage, message, names, {});
    },
    info(message) {
      output.write('info', message);
      void window.showInformationMessage(message);
    },
  };
}
