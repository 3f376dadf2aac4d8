/** The views of the container *Rowtune*: Runs, Models, Devices. Each queries the daemon while it is visible. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Event, EventEmitter, type Uri, workspace } from 'vscode';
import type { RunInfo } from '../../trainer/protocol/messages/rpc-messages.ts';
import { isOnCluster } from '../../trainer/protocol/run/cluster.ts';
import { STATE_FILE } from '../../trainer/protocol/run/run-files.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import type { App } from '../app.ts';
import { type ErrorReport, reportError } from '../ask/error-report.ts';
import { setContext } from '../context-keys.ts';
import { isDaemonMissing } from '../daemon/daemon-connection.ts';
import { throttle } from '../throttle.ts';
import { type DeviceItem, deviceTree } from './device-tree.ts';
import { createGroupView } from './group-view.ts';
import { type ModelItem, modelTree } from './model-tree.ts';
import { type RunFlag, type RunGroup, type RunItem, runTree } from './run-tree.ts';
import { drawDevice, drawModel, drawRun } from './tree-items.ts';
import { VanishedRuns, withUnreached } from './vanished-runs.ts';

export interface Views {
  /** Redraws the runs with the latest job events; loads nothing. */
  redrawRuns(): void;
  reloadRuns(): Promise<void>;
  reloadModels(): Promise<void>;
  reloadDevices(): Promise<void>;
  /** The run last selected in the *Runs* view; a click selects a run before opening it. */
  selectedRun(): RunItem | undefined;
  /** The runs that the daemon lists now. */
  listRuns(client: DaemonClient): Promise<readonly RunInfo[]>;
  /** Fires with each list of runs, however it was loaded. */
  readonly onRunsListed: Event<readonly RunInfo[]>;
  dispose(): void;
}

/** The folders whose models and runs are listed: the workspace folders, or their counterparts on the daemon's machine. */
export function trainerFolders({ settings }: Pick<App, 'settings'>): readonly string[] {
  const { daemonFolder } = settings();
  if (daemonFolder !== '') return [daemonFolder];
  return (workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file').map(({ uri }) => uri.fsPath);
}

/** Redraw interval; ages are shown in minutes. */
const REDRAW_MS = 30_000;
/** Interval for runs on a cluster: their position in the queue changes without a change of a file. */
const CLUSTER_LOOK_MS = 10_000;
/** Minimum interval between reloads; runs from the command line write their state about once a second. */
const FILE_CHANGES_MS = 2000;
/** Minimum interval between reloads of models: each one reads headers, and a model that is being copied arrives as several files. */
const MODEL_CHANGES_MS = 5000;
/** Files by which the daemon recognizes a model. */
const MODEL_FILES = '**/{config.json,*.safetensors,*.gguf,pytorch_model*.bin}';
/** True for files of checkpoints, which runs write while they train and no view lists. */
const isOfCheckpoint = ({ path }: Uri): boolean => path.includes('/checkpoints/');

export function createViews(app: App): Views {
  const listed = new EventEmitter<readonly RunInfo[]>();
  const list = createRunList(app, { lookAgain: () => onFiles.call(), onListed: runs => listed.fire(runs) });
  const { runs, models, devices, isModelIn } = createTrees(app, list);
  const all = [runs, models, devices];
  // Until now, nothing is known about the daemon, so the views have no welcome text.
  setContext('rowtune.viewsReady', true);
  // A redrawn tree may have no selection for a while.
  let selectedRun: RunItem | undefined;
  runs.view.onDidChangeSelection(({ selection }) => {
    selectedRun = selection.find(node => 'flags' in node) ?? selectedRun;
  });
  /** Reloads the runs even if the view is hidden, because menus and the palette depend on them. */
  const reloadRuns = async (): Promise<void> => {
    await runs.reload();
    const client = app.daemon.current;
    if (runs.view.visible || client === undefined) return;
    // Errors of hidden views do not interrupt the user.
    await list.load(client).then(list.draw, error => app.output.write('debug', `runs can't be listed: ${String(error)}`));
  };
  const reloadAll = (): void => {
    void reloadRuns();
    for (const each of [models, devices]) void each.reload();
  };
  const redrawRuns = (): void => {
    if (list.isLoaded && runs.view.visible) runs.show(list.draw());
  };
  const onFiles = throttle(
    () => void reloadRuns(),
    () => FILE_CHANGES_MS,
  );
  const onModels = throttle(
    () => void models.reload(),
    () => MODEL_CHANGES_MS,
  );
  const onModelFile = (uri: Uri): void => {
    if (!isOfCheckpoint(uri)) onModels.call();
  };
  const states = workspace.createFileSystemWatcher('**/state.json');
  const modelFiles = workspace.createFileSystemWatcher(MODEL_FILES);
  // When a folder is deleted, editors report nothing about the files inside.
  const deleted = workspace.createFileSystemWatcher('**/*', true, true);
  const timer = setInterval(redrawRuns, REDRAW_MS);
  const clusterTimer = setInterval(() => list.isOnCluster && runs.view.visible && onFiles.call(), CLUSTER_LOOK_MS);
  const subscriptions = [
    states,
    states.onDidCreate(onFiles.call),
    states.onDidChange(onFiles.call),
    states.onDidDelete(onFiles.call),
    modelFiles,
    modelFiles.onDidCreate(onModelFile),
    modelFiles.onDidChange(onModelFile),
    modelFiles.onDidDelete(onModelFile),
    deleted,
    deleted.onDidDelete(({ fsPath }) => {
      if (isModelIn(fsPath)) onModels.call();
      if (list.isRunIn(fsPath)) onFiles.call();
    }),
    workspace.onDidChangeWorkspaceFolders(reloadAll),
    workspace.onDidGrantWorkspaceTrust(reloadAll),
  ];
  const stopListening = app.onDaemonState(({ kind }) => {
    if (kind === 'connected' || kind === 'off' || kind === 'failed') reloadAll();
  });
  return {
    redrawRuns,
    reloadRuns,
    reloadModels: () => models.reload(),
    reloadDevices: () => devices.reload(),
    selectedRun: () => selectedRun,
    listRuns: list.load,
    onRunsListed: listed.event,
    dispose() {
      clearInterval(timer);
      clearInterval(clusterTimer);
      onFiles.dispose();
      onModels.dispose();
      stopListening();
      for (const each of [...subscriptions, listed, ...all]) each.dispose();
    },
  };
}

const isIn = (file: string, folder: string): boolean => file === folder || file.startsWith(`${folder}${path.sep}`);

interface RunListParams {
  /** Called if a run may have been deleted or is being replaced. */
  readonly lookAgain: () => void;
  readonly onListed: (runs: readonly RunInfo[]) => void;
}

/** The runs that the daemon listed last, as groups; the context keys of menus follow them. */
function createRunList(app: App, { lookAgain, onListed }: RunListParams) {
  const { store } = app;
  const vanished = new VanishedRuns();
  let listed: readonly RunInfo[] | undefined;
  let isTruncated = false;
  return {
    /** True if a cluster has some of the runs: no file changes while they move up in its queue. */
    get isOnCluster() {
      return listed?.some(({ cluster }) => isOnCluster(cluster)) ?? false;
    },
    get isLoaded() {
      return listed !== undefined;
    },
    isRunIn: (folder: string): boolean => listed?.some(({ runDir }) => isIn(runDir, folder)) ?? false,
    /** True if the daemon did not search all folders. */
    get isTruncated() {
      return isTruncated;
    },
    load: async (client: DaemonClient): Promise<readonly RunInfo[]> => {
      const folders = runFolders(app);
      const found = await client.request('listRuns', { folders });
      const { truncated } = found;
      // Files on another machine can't be looked at from here.
      const isThere = (runDir: string): boolean => app.services.isRemote() || existsSync(path.join(runDir, STATE_FILE));
      const runs = withUnreached(listed ?? [], found, isThere);
      [listed, isTruncated] = [runs, truncated];
      const busy = store.active().flatMap(({ runDir }) => runDir ?? []);
      // A queued cluster run is not deleted when it leaves the queue or when the cluster does not answer.
      const begun = runs.filter(({ state }) => state !== 'queued');
      const { deleted, isUnsure } = vanished.look({ folders, runs: begun, truncated, busy });
      app.pages.runsDeleted(deleted);
      onListed(runs);
      // A run that is being replaced is missing for a moment.
      if (isUnsure) lookAgain();
      return runs;
    },
    draw: (): readonly RunGroup[] => {
      const groups = runTree({ runs: listed ?? [], jobs: store.list(), nowMs: Date.now() });
      const items = groups.flatMap(group => group.items);
      const counts = (flag: RunFlag): number => items.filter(({ flags }) => flags.includes(flag)).length;
      setContext('rowtune.noRuns', counts('folder') === 0);
      setContext('rowtune.nothingToCompare', counts('folder') < 2);
      setContext('rowtune.noResumable', counts('resumable') === 0);
      setContext('rowtune.noAnswers', counts('answers') === 0);
      setContext('rowtune.hasClusterRuns', counts('cluster') > 0);
      return groups;
    },
  };
}

/** Creates the trees of runs, models and devices; each is empty without a daemon. */
function createTrees(app: App, list: ReturnType<typeof createRunList>) {
  const reportOf = (error: unknown): ErrorReport => {
    const isRemote = app.services.isRemote();
    const { message, remedies } = reportError(error, { hasRecipe: false, isRemote });
    const connect = isRemote ? 'reconnect' : 'startDaemon';
    return { message, remedies: app.daemon.current === undefined ? [...new Set([connect, ...remedies] as const)] : remedies };
  };
  const cutText = (what: string): string => `The folders could not be searched completely in time. There may be more ${what}.`;
  const loaded = async <Group>(load: (client: DaemonClient) => Promise<readonly Group[]>): Promise<readonly Group[]> => {
    const client = await connected(app);
    return client === undefined ? [] : load(client);
  };
  let isModelListCut = false;
  let modelPaths: readonly string[] = [];
  const runs = createGroupView<RunItem>({
    id: 'rowtune.runs',
    canSelectMany: true,
    load: () => loaded(async client => list.load(client).then(list.draw)),
    draw: drawRun,
    note: () => (list.isTruncated ? cutText('runs') : undefined),
    reportOf,
  });
  const models = createGroupView<ModelItem>({
    id: 'rowtune.models',
    load: () =>
      loaded(async client => {
        const found = await client.request('listModels', { folders: trainerFolders(app) });
        isModelListCut = found.truncated;
        modelPaths = found.models.map(({ path: model }) => model);
        return modelTree(found.models);
      }),
    draw: drawModel,
    note: () => (isModelListCut ? cutText('models') : undefined),
    reportOf,
  });
  const devices = createGroupView<DeviceItem>({
    id: 'rowtune.devices',
    load: () =>
      loaded(async client => {
        const status = await client.request('engineStatus', {});
        setContext('rowtune.engineMissing', status.installedEngines.length === 0);
        return [{ name: '', items: deviceTree(status, app.services.isRemote()) }];
      }),
    draw: drawDevice,
    reportOf,
  });
  const isModelIn = (folder: string): boolean => modelPaths.some(model => isIn(model, folder));
  return { runs, models, devices, isModelIn };
}

/**
 * Starts a daemon for a visible view, unless the user stopped it. Returns undefined if none runs on this machine; the empty view then shows
 * its welcome text with a start button.
 * @throws DaemonError if a remote daemon does not answer, or a local one fails to start
 */
export async function connected({ daemon, isDaemonWanted, services }: App): Promise<DaemonClient | undefined> {
  if (!workspace.isTrusted) return undefined;
  if (services.isRemote()) return daemon.ensure();
  return isDaemonWanted() ? daemon.ensure().catch(noneRuns) : daemon.join();
}

function noneRuns(error: unknown): undefined {
  if (!isDaemonMissing(error)) throw error;
}

/** The workspace folders, and the folders of jobs that were started elsewhere. */
export function runFolders(app: App): readonly string[] {
  const { store } = app;
  const folders = trainerFolders(app);
  const inside = (runDir: string): boolean => folders.some(folder => runDir === folder || runDir.startsWith(`${folder}/`));
  const others = store.list().flatMap(({ runDir }) => (runDir === undefined || inside(runDir) ? [] : [runDir]));
  return [...folders, ...new Set(others)];
}
