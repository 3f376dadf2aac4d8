/** Commands for the daemon and the language server: start, stop, restart, log and status. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ConfigurationTarget, ProgressLocation, Uri, window, workspace } from 'vscode';
import type { App } from '../app.ts';
import { daemonTokenKey } from '../daemon/daemon-address.ts';
import { isTraining } from '../daemon/job-store.ts';
import { extensionVersion } from '../extension-version.ts';
import { statusReport } from '../reports.ts';
import { daemonText } from '../status/status-text.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

type DaemonNames = 'startDaemon' | 'stopDaemon' | 'restartDaemon' | 'showDaemonLog' | 'setDaemonToken';
type ServerNames = 'startServer' | 'stopServer' | 'restartServer' | 'showServerLog';

export const processCommands = (context: CommandContext): CommandTable<DaemonNames | ServerNames | 'showStatus'> => ({
  ...daemonCommands(context),
  ...serverCommands(context),
  showStatus: () => showStatus(context),
});

function daemonCommands({ app }: CommandContext): CommandTable<DaemonNames> {
  const startDaemon = async (): Promise<void> => {
    app.policy.reset();
    await app.daemon.ensure();
  };
  const stopDaemon = async (): Promise<boolean> => {
    await app.daemon.join();
    if (!(await confirmStop(app))) return false;
    await window.withProgress({ location: ProgressLocation.Notification, title: 'Stopping the trainer daemon' }, () => app.daemon.stop());
    return true;
  };
  return {
    startDaemon,
    stopDaemon,
    restartDaemon: async () => {
      // A daemon on another machine can't be started from here; only the connection can be renewed.
      if (app.services.isRemote()) app.daemon.disconnect();
      else if (!(await stopDaemon())) return;
      await startDaemon();
    },
    showDaemonLog: () => showDaemonLog(app),
    setDaemonToken: async () => {
      if (!(await askToken(app))) return;
      app.daemon.disconnect();
      await startDaemon();
    },
  };
}

const serverCommands = ({ server }: CommandContext): CommandTable<ServerNames> => ({
  startServer: () => server.start(),
  stopServer: () => server.stop(),
  restartServer: async () => {
    await server.stop();
    await server.start();
  },
  showServerLog: () => server.channel.show(),
});

async function confirmStop({ store, services, settings }: App): Promise<boolean> {
  const training = store.active().filter(isTraining);
  const isFar = services.isRemote();
  if (training.length === 0 && !isFar) return true;
  const what = training.length > 0 ? `The daemon is training ${training.map(({ title }) => title).join(', ')}.` : 'Stop the daemon?';
  const detail = [
    ...(training.length > 0 ? ['Training saves a checkpoint first and can be resumed.'] : []),
    ...(isFar ? [`The daemon at ${settings().daemonUrl} can only be restarted on its machine.`] : []),
  ].join(' ');
  const action = training.length > 0 ? 'Stop and Save' : 'Stop Daemon';
  return (await window.showWarningMessage(what, { modal: true, detail }, action)) !== undefined;
}

async function showDaemonLog({ daemon, folders, output, services }: App): Promise<void> {
  const known = daemon.current === undefined ? undefined : (await daemon.current.request('daemonStatus', {})).logFile;
  // If the daemon did not start, `daemon.out` shows why.
  const files = [known, path.join(folders.stateDir, 'daemon.log'), path.join(folders.stateDir, 'daemon.out')];
  const isFar = services.isRemote();
  const found = isFar ? undefined : files.find(file => file !== undefined && existsSync(file));
  if (isFar && known !== undefined) output.write('info', `the daemon writes its log on its own machine: ${known}`);
  if (found === undefined) output.channel.show();
  else await window.showTextDocument(Uri.file(found), { preview: true });
}

/** Stores the token of a remote daemon, and its address if it is new. Returns false if the user entered none. */
async function askToken({ context, settings }: App): Promise<boolean> {
  const { daemonUrl } = settings();
  const url = daemonUrl === '' ? await askAddress() : daemonUrl;
  if (!url) return false;
  const token = await window.showInputBox({
    title: `Token of the daemon at ${url}`,
    prompt: 'Stored in the secret storage of the editor. Find the token in daemon.json in the state folder of that machine.',
    password: true,
    ignoreFocusOut: true,
  });
  if (!token) return false;
  await context.secrets.store(daemonTokenKey(url), token.trim());
  if (daemonUrl === '') await workspace.getConfiguration('rowtune').update('daemon.url', url, ConfigurationTarget.Global);
  return true;
}

const askAddress = (): Thenable<string | undefined> =>
  window.showInputBox({
    title: 'Address of a daemon on another machine',
    placeHolder: 'ws://127.0.0.1:7000',
    prompt: 'The address at which a tunnel or TLS makes it reachable from here.',
    ignoreFocusOut: true,
  });

async function showStatus({ app, server, reports }: CommandContext): Promise<void> {
  const client = app.daemon.current ?? (await app.daemon.join().catch(() => undefined));
  await reports.show(
    'Rowtune Status',
    statusReport({
      extensionVersion: extensionVersion(app.context),
      daemon: daemonText(app.daemon.state),
      daemonStatus: client && (await client.request('daemonStatus', {})),
      isServerRunning: server.isRunning(),
      node: app.settings().node || 'node on the PATH, or else that of the editor',
      ...app.folders,
    }),
  );
}
