/**
 * The parts that commands, views and pages share: settings, the daemon, the output and error reports. Creating it
 * starts nothing.
 */
import os from 'node:os';
import path from 'node:path';
import { commands, type ExtensionContext, Uri, window, workspace } from 'vscode';
import { MAX_STATE_BYTES, readRegularText } from '../trainer/files/regular-file.ts';
import type { DaemonAddress } from '../trainer/rpc/connect.ts';
import { DaemonError } from '../trainer/rpc/daemon-error.ts';
import { resolveSettings } from '../trainer/settings.ts';
import { createNotifier, type Notifier } from './ask/notify.ts';
import { type ClientSettings, readClientSettings } from './client-settings.ts';
import { COMMANDS } from './commands/command-ids.ts';
import { DaemonKeeper, type LinkState } from './daemon/daemon-connection.ts';
import { JobStore } from './daemon/job-store.ts';
import { createRestartPolicy, type RestartPolicy } from './daemon/restart-policy.ts';
import { cleanEnvironment, findNode, type NodeProgram, runRowtune } from './daemon/rowtune-program.ts';
import { createOutput, type Output } from './output.ts';
import { createPages, type Pages } from './pages/page-panel.ts';
import type { PageServices } from './pages/page-services.ts';
import { pageDefinitions } from './pages/pages.ts';
import { requireTrust } from './trust.ts';

export const HUB_TOKEN = 'rowtune.hubToken';
export const daemonTokenKey = (url: string): string => `rowtune.daemonToken:${url}`;

export interface App {
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
  /** The state folder and the cache of the trainer on this machine. */
  readonly folders: { readonly stateDir: string; readonly cacheDir: string };
  onDaemonState(listener: (state: LinkState) => void): () => void;
  /**
   * False after the daemon was stopped (from this or another window) or failed to start: only commands start one then,
   * views do not.
   */
  isDaemonWanted(): boolean;
  /** The parts with which the command line is started: the user's Node, the bundle, the environment (with the token of the hub). */
  launch(): Promise<Launch>;
  /** Runs the trainer's command line with the user's Node, engine and token. */
  rowtune(args: readonly string[], options?: RowtuneOptions): Promise<Readonly<Record<string, unknown>>>;
}

export interface Launch {
  readonly node: NodeProgram;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** The version of the extension. */
  readonly version: string;
}

export interface RowtuneOptions {
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

export function createApp(context: ExtensionContext): App {
  const settings = (): ClientSettings => {
    const configuration = workspace.getConfiguration('rowtune');
    return readClientSettings(name => configuration.get(name));
  };
  const output = createOutput(() => settings().logLevel);
  const isRemote = (): boolean => settings().daemonUrl !== '';
  const notify = createNotifier(output, isRemote);
  const { stateDir, cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
  const version = String((context.extension.packageJSON as { version?: unknown }).version);
  const store = new JobStore();
  const policy = createRestartPolicy();
  const stateListeners = new Set<(state: LinkState) => void>();
  let isWanted = true;
  let wasConnected = false;
  let node: { readonly configured: string; readonly found: Promise<NodeProgram> } | undefined;

  const nodeProgram = (): Promise<NodeProgram> => {
    const { node: configured } = settings();
    if (node?.configured !== configured) {
      const found = findNode({ configured, execPath: process.execPath, env: cleanEnvironment(process.env) });
      node = { configured, found };
      // Retried on the next use: the user may have installed the missing program.
      found.catch(() => {
        node = undefined;
      });
    }
    return node.found;
  };

  const environment = async (): Promise<NodeJS.ProcessEnv> => {
    const { engine } = settings();
    const token = await context.secrets.get(HUB_TOKEN);
    return {
      ...cleanEnvironment(process.env),
      ROWTUNE_STATE: stateDir,
      ROWTUNE_CACHE: cacheDir,
      ...(engine === 'default' ? {} : { ROWTUNE_ENGINE: engine }),
      ...(token === undefined ? {} : { HF_TOKEN: token }),
    };
  };

  const launch: App['launch'] = async () => {
    const { trainerPath } = settings();
    const program = trainerPath === '' ? context.asAbsolutePath(path.join('dist', 'rowtune.js')) : trainerPath;
    return { node: await nodeProgram(), program, env: await environment(), version };
  };

  const rowtune: App['rowtune'] = async (args, { onLine, signal } = {}) => {
    requireTrust();
    const { node: found, program, env } = await launch();
    output.write('debug', `runs ${program} ${args.join(' ')}`);
    return runRowtune({ node: found, program, args, env, onLine, signal });
  };

  const address = async (): Promise<DaemonAddress> => {
    const { daemonUrl: url, daemonCertificate: file } = settings();
    if (url === '') return { stateDir };
    const token = await context.secrets.get(daemonTokenKey(url));
    if (token !== undefined) return { url, token, ca: file === '' ? undefined : await readCertificate(file) };
    throw new DaemonError('daemon-token', `no token is stored for the daemon at ${url}`);
  };

  const daemon = new DaemonKeeper({
    store,
    client: { name: 'vscode', version },
    address,
    start: async () => {
      await rowtune(['daemon', 'start', '--idle-minutes', String(settings().idleMinutes)]);
    },
    policy,
    onState: state => {
      if (state.kind === 'connected') wasConnected = true;
      if (state.kind === 'connected' || (state.kind === 'off' && wasConnected) || state.kind === 'failed')
        isWanted = state.kind === 'connected';
      for (const listener of stateListeners) listener(state);
    },
    onRestarted: () =>
      notify.warn('The trainer daemon ended unexpectedly and was started again. Training that was cut off can be resumed.', [
        'showDaemonLog',
      ]),
    log: message => output.write('info', message),
  });

  const services: PageServices = {
    daemon: async () => {
      requireTrust();
      return daemon.ensure();
    },
    isRemote,
    jobs: () => store.list(),
    onJobEvent: listener => store.onEvent(listener),
    onJobChanged: listener => store.onChanged(listener),
    saveFile: async ({ suggestedName, content }) => {
      const folder = workspace.workspaceFolders?.[0]?.uri ?? Uri.file(os.homedir());
      const target = await window.showSaveDialog({ defaultUri: Uri.joinPath(folder, suggestedName) });
      if (target === undefined) return undefined;
      await workspace.fs.writeFile(target, typeof content === 'string' ? new TextEncoder().encode(content) : content);
      return target.fsPath;
    },
    openFile: async file => {
      await window.showTextDocument(Uri.file(file), { preview: true, viewColumn: -2 });
    },
    openPage: ({ kind, state }) => pages.open(kind, state),
    command: async (name, { runDir }) => commands.executeCommand(COMMANDS[name], runDir),
    showError: error => notify.error(error),
    setting: name => (name === 'heatmap.colorMap' ? settings().heatmapColorMap : ''),
    updateIntervalMs: () => settings().updateIntervalMs,
    log: {
      info: message => output.write('info', message),
      warn: message => output.write('warning', message),
      error: message => output.write('error', message),
    },
  };
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
    folders: { stateDir, cacheDir },
    onDaemonState: listener => {
      stateListeners.add(listener);
      return () => void stateListeners.delete(listener);
    },
    isDaemonWanted: () => isWanted && workspace.isTrusted,
    launch,
    rowtune,
  };
}

async function readCertificate(file: string): Promise<string> {
  try {
    return await readRegularText(file, MAX_STATE_BYTES);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DaemonError('daemon-untrusted', `the certificate of the daemon cannot be read: ${why}`, {
      hint: 'Set rowtune.daemon.certificate',
    });
  }
}
