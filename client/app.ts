/**
 * The parts that commands, views and pages share: settings, the daemon, the output and error reports. Creating it
 * starts nothing.
 */
import os from 'node:os';
import { type ExtensionContext, workspace } from 'vscode';
import { resolveSettings } from '../trainer/settings.ts';
import { createNotifier, type Notifier } from './ask/notify.ts';
import { type ClientSettings, readClientSettings } from './client-settings.ts';
import { daemonAddress } from './daemon/daemon-address.ts';
import { DaemonKeeper } from './daemon/daemon-connection.ts';
import { JobStore } from './daemon/job-store.ts';
import type { LinkState } from './daemon/link-state.ts';
import { createRestartPolicy, type RestartPolicy } from './daemon/restart-policy.ts';
import { createTrainer, type Trainer } from './daemon/trainer.ts';
import { extensionVersion } from './extension-version.ts';
import { createOutput, type Output } from './output.ts';
import { createEditorServices } from './pages/editor-services.ts';
import { createPages, type Pages } from './pages/page-panel.ts';
import type { PageServices } from './pages/page-services.ts';
import { pageDefinitions } from './pages/pages.ts';

/** The shared parts, including the trainer's command line. */
export interface App extends Trainer {
  readonly context: ExtensionContext;
  readonly output: Output;
  readonly store: JobStore;
  readonly daemon: DaemonKeeper;
  readonly policy: RestartPolicy;
  readonly pages: Pages;
  readonly services: PageServices;
  readonly notify: Notifier;
  /** The current settings. */
  settings(): ClientSettings;
  /** The state folder and the cache folder of the trainer on this machine. */
  readonly folders: { readonly stateDir: string; readonly cacheDir: string };
  onDaemonState(listener: (state: LinkState) => void): () => void;
  /** False after the daemon was stopped (from this or another window) or failed to start. Then only commands start one; views do not. */
  isDaemonWanted(): boolean;
}

export function createApp(context: ExtensionContext): App {
  const settings = (): ClientSettings => {
    const configuration = workspace.getConfiguration('rowtune');
    return readClientSettings(name => configuration.get(name));
  };
  const output = createOutput(() => settings().logLevel);
  const notify = createNotifier(output, () => settings().daemonUrl !== '');
  const { stateDir, cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
  const folders = { stateDir, cacheDir };
  const store = new JobStore();
  const policy = createRestartPolicy();
  const states = createDaemonStates();
  const trainer = createTrainer({ context, output, settings, folders });
  const daemon = new DaemonKeeper({
    store,
    client: { name: 'vscode', version: extensionVersion(context) },
    address: () => daemonAddress(context, settings(), stateDir),
    start: async () => {
      await trainer.rowtune(['daemon', 'start', '--idle-minutes', String(settings().idleMinutes)]);
    },
    policy,
    onState: states.take,
    onRestarted: () =>
      notify.warn('The trainer daemon ended unexpectedly and was started again. Training that was cut off can be resumed.', [
        'showDaemonLog',
      ]),
    log: message => output.write('info', message),
  });
  const services = createEditorServices({ daemon, store, output, notify, settings, pages: () => pages });
  const pages: Pages = createPages(context.extensionUri, pageDefinitions, () => services);
  return {
    context,
    output,
    store,
    daemon,
    policy,
    pages,
    services,
    notify,
    settings,
    folders,
    onDaemonState: states.on,
    isDaemonWanted: () => states.isWanted() && workspace.isTrusted,
    ...trainer,
  };
}

/** Tracks the state of the daemon and whether views may start one. */
function createDaemonStates() {
  const listeners = new Set<(state: LinkState) => void>();
  let isWanted = true;
  let wasConnected = false;
  return {
    isWanted: () => isWanted,
    take: (state: LinkState): void => {
      if (state.kind === 'connected') wasConnected = true;
      if (state.kind === 'connected' || (state.kind === 'off' && wasConnected) || state.kind === 'failed')
        isWanted = state.kind === 'connected';
      for (const listener of listeners) listener(state);
    },
    on: (listener: (state: LinkState) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
