/** Start, stop, restart, log and status of the daemon and the language server. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ConfigurationTarget, ProgressLocation, Uri, window, workspace } from 'vscode';
import { daemonTokenKey } from '../app.ts';
import { isTraining } from '../daemon/job-store.ts';
import { statusReport } from '../reports.ts';
import { daemonText } from '../status/status-text.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

type Names =
  | 'startDaemon'
  | 'stopDaemon'
  | 'restartDaemon'
  | 'showDaemonLog'
  | 'setDaemonToken'
  | 'startServer'
  | 'stopServer'
  | 'restartServer'
  | 'showServerLog'
  | 'showStatus';

export function processCommands(context: CommandContext): CommandTable<Names> {
  const { app, server, reports } = context;

  const isRemote = (): boolean => app.services.isRemote();
  const startDaemon = async (): Promise<void> => {
    app.policy.reset();
    await app.daemon.ensure();
  };
  const confirmStop = async (): Promise<boolean> => {
    const training = app.store.active().filter(isTraining);
    const isFar = isRemote();
    if (training.length === 0 && !isFar) return true;
    const what = training.length > 0 ? `The daemon is training ${training.map(({ title }) => title).join(', ')}.` : 'Stop the daemon?';
    const detail = [
      ...(training.length > 0 ? ['Training saves a checkpoint first and can be resumed.'] : []),
      ...(isFar ? [`The daemon at ${app.settings().daemonUrl} can only be restarted on its machine.`] : []),
    ].join(' ');
    const action = training.length > 0 ? 'Stop and Save' : 'Stop Daemon';
    return (await window.showWarningMessage(what, { modal: true, detail }, action)) !== undefined;
  };
  const stopDaemon = async (): Promise<boolean> => {
    await app.daemon.join();
    if (!(await confirmStop())) return false;
    await window.withProgress({ location: ProgressLocation.Notification, title: 'Stopping the trainer daemon' }, () => app.daemon.stop());
    return true;
  };

  return {
    startDaemon,
    stopDaemon,
    restartDaemon: async () => {
      // A daemon on another machine is started there; from here only the connection can be renewed.
      if (isRemote()) app.daemon.disconnect();
      else if (!(await stopDaemon())) return;
      await startDaemon();
    },
    showDaemonLog: async () => {
      const { current } = app.daemon;
      const known = current === undefined ? undefined : (await current.request('daemonStatus', {})).logFile;
      // Its output shows why it did not start.
      const files = [known, path.join(app.folders.stateDir, 'daemon.log'), path.join(app.folders.stateDir, 'daemon.out')];
      const found = isRemote() ? undefined : files.find(file => file !== undefined && existsSync(file));
      if (isRemote() && known !== undefined) app.output.write('info', `the daemon writes its log on its own machine: ${known}`);
      if (found === undefined) app.output.channel.show();
      else await window.showTextDocument(Uri.file(found), { preview: true });
    },
    setDaemonToken: async () => {
      const { daemonUrl } = app.settings();
      const url =
        daemonUrl !== ''
          ? daemonUrl
          : await window.showInputBox({
              title: 'Address of a daemon on another machine',
              placeHolder: 'ws://127.0.0.1:7000',
              prompt: 'The address at which a tunnel or TLS makes it reachable from here.',
              ignoreFocusOut: true,
            });
      if (!url) return;
      const token = await window.showInputBox({
        title: `Token of the daemon at ${url}`,
        prompt: 'Stored in the secret storage of the editor. Find the token in daemon.json in the state folder of that machine.',
        password: true,
        ignoreFocusOut: true,
      });
      if (!token) return;
      await app.context.secrets.store(daemonTokenKey(url), token.trim());
      if (daemonUrl === '') await workspace.getConfiguration('rowtune').update('daemon.url', url, ConfigurationTarget.Global);
      app.daemon.disconnect();
      await startDaemon();
    },
    startServer: () => server.start(),
    stopServer: () => server.stop(),
    restartServer: async () => {
      await server.stop();
      await server.start();
    },
    showServerLog: () => server.channel.show(),
    showStatus: async () => {
      const client = app.daemon.current ?? (await app.daemon.join().catch(() => undefined));
      const { version } = app.context.extension.packageJSON as { readonly version: string };
      await reports.show(
        'Rowtune Status',
        statusReport({
          extensionVersion: version,
          daemon: daemonText(app.daemon.state),
          daemonStatus: client && (await client.request('daemonStatus', {})),
          isServerRunning: server.isRunning(),
          node: app.settings().node || 'node on the PATH, or else that of the editor',
          ...app.folders,
        }),
      );
    },
  };
}
