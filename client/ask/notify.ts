/** Notifications: an error with its hint, and buttons for the steps in the hint. */
import { commands, type Uri, window } from 'vscode';
import type { ToolName } from '../../trainer/catalog/tools.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import type { Output } from '../output.ts';
import { isCanceled, logText, type Remedy, reportError } from './error-report.ts';

export interface ErrorPlace {
  /** The recipe that the error is about. */
  readonly recipe?: Uri;
}

export interface Notifier {
  /** Logs the whole error and shows the user a sentence; shows nothing if the user ended the action. */
  error(error: unknown, place?: ErrorPlace): void;
  warn(message: string, remedies?: readonly Remedy[]): void;
  info(message: string): void;
}

const LABELS: Readonly<Record<Remedy, string>> = {
  installEngine: 'Install Engine',
  installImages: 'Install Image Library',
  showDaemonLog: 'Show Daemon Log',
  showLog: 'Show Log',
  openRecipe: 'Open Recipe',
  openNodeSetting: 'Open Setting',
  openTrainerSetting: 'Open Setting',
  openUrlSetting: 'Open Setting',
  enterToken: 'Enter Token',
  restartDaemon: 'Restart Daemon',
  startDaemon: 'Start Daemon',
  reconnect: 'Connect Again',
  showProblems: 'Show Problems',
  doctor: 'Run Doctor',
  manageTrust: 'Manage Trust',
};

/** @param isRemote true if the daemon is on another machine */
export function createNotifier(output: Output, isRemote: () => boolean): Notifier {
  const remedy = (name: Remedy, { recipe }: ErrorPlace): Thenable<unknown> | undefined => {
    const run: Readonly<Record<Remedy, () => Thenable<unknown> | undefined>> = {
      installEngine: () => commands.executeCommand(COMMANDS.installEngine),
      installImages: () => commands.executeCommand(COMMANDS.installEngine, 'images' satisfies ToolName),
      showDaemonLog: () => commands.executeCommand(COMMANDS.showDaemonLog),
      showLog: () => {
        output.channel.show(true);
        return undefined;
      },
      openRecipe: () => (recipe === undefined ? undefined : window.showTextDocument(recipe)),
      openNodeSetting: () => commands.executeCommand('workbench.action.openSettings', 'rowtune.node'),
      openTrainerSetting: () => commands.executeCommand('workbench.action.openSettings', 'rowtune.trainerPath'),
      openUrlSetting: () => commands.executeCommand('workbench.action.openSettings', 'rowtune.daemon'),
      enterToken: () => commands.executeCommand(COMMANDS.setDaemonToken),
      restartDaemon: () => commands.executeCommand(COMMANDS.restartDaemon),
      startDaemon: () => commands.executeCommand(COMMANDS.startDaemon),
      reconnect: () => commands.executeCommand(COMMANDS.startDaemon),
      showProblems: () => commands.executeCommand('workbench.actions.view.problems'),
      doctor: () => commands.executeCommand(COMMANDS.doctor),
      manageTrust: () => commands.executeCommand('workbench.trust.manage'),
    };
    return run[name]();
  };

  const show = async (
    tell: (message: string, ...labels: string[]) => Thenable<string | undefined>,
    message: string,
    remedies: readonly Remedy[],
    place: ErrorPlace,
  ): Promise<void> => {
    const chosen = await tell(message, ...remedies.map(name => LABELS[name]));
    const name = remedies.find(each => LABELS[each] === chosen);
    if (name !== undefined) await remedy(name, place);
  };

  return {
    error(error, place = {}) {
      if (isCanceled(error)) return;
      output.write('error', logText(error));
      const { message, remedies } = reportError(error, { hasRecipe: place.recipe !== undefined, isRemote: isRemote() });
      void show(window.showErrorMessage, message, remedies, place);
    },
    warn(message, remedies = []) {
      output.write('warning', message);
      void show(window.showWarningMessage, message, remedies, {});
    },
    info(message) {
      output.write('info', message);
      void window.showInformationMessage(message);
    },
  };
}
