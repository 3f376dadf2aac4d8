/** The views of the container *Rowtune*: Runs, Models, Devices. Each queries the daemon when it is visible. */
import { MarkdownString, ThemeColor, ThemeIcon, TreeItem, TreeItemCollapsibleState, workspace } from 'vscode';
import type { RunInfo } from '../../trainer/protocol/rpc-messages.ts';
import type { DaemonClient } from '../../trainer/rpc/connect.ts';
import type { App } from '../app.ts';
import { reportError } from '../ask/error-report.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { setContext } from '../context-keys.ts';
import { isDaemonMissing } from '../daemon/daemon-connection.ts';
import { escapeMarkdown } from '../status/status-text.ts';
import { throttle } from '../throttle.ts';
import { type DeviceItem, deviceTree } from './device-tree.ts';
import { createGroupView } from './group-view.ts';
import { type ModelItem, modelTree } from './model-tree.ts';
import { type RunFlag, type RunGroup, type RunGroupName, type RunItem, runTree } from './run-tree.ts';
import { VanishedRuns } from './vanished-runs.ts';

export interface Views {
  /** Redraws the runs with the latest job events; loads nothing. */
  redrawRuns(): void;
  reloadRuns(): Promise<void>;
  reloadModels(): Promise<void>;
  reloadDevices(): Promise<void>;
  /** The run last selected in the view *Runs*; a click selects it before opening it. */
  selectedRun(): RunItem | undefined;
  /** The runs that the daemon lists now. */
  listRuns(client: DaemonClient): Promise<readonly RunInfo[]>;
  dispose(): void;
}

/**
 * The folders whose models and runs are listed: those of the workspace, or their counterparts on the daemon's machine.
 */
export function trainerFolders({ settings }: Pick<App, 'settings'>): readonly string[] {
  const { daemonFolder } = settings();
  if (daemonFolder !== '') return [daemonFolder];
  return (workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file').map(({ uri }) => uri.fsPath);
}

const COLORS: Readonly<Record<RunGroupName, string | undefined>> = {
  Running: 'charts.blue',
  Waiting: undefined,
  Stopped: 'charts.yellow',
  Failed: 'charts.red',
  Finished: 'charts.green',
};

/** Ages are shown in minutes. */
const REDRAW_MS = 30_000;
/** Command-line runs write their state about once a second. */
const FILE_CHANGES_MS = 2000;

export function createViews(app: App): Views {
  const { store } = app;
  let listed: readonly RunInfo[] | undefined;
  let [isRunListCut, isModelListCut] = [false, false];
  const vanished = new VanishedRuns();
  const listRuns = async (client: DaemonClient): Promise<readonly RunInfo[]> => {
    const folders = runFolders(app);
    const { runs, truncated } = await client.request('listRuns', { folders });
    listed = runs;
    isRunListCut = truncated;
    const { deleted, isUnsure } = vanished.look({ folders, runs, truncated, busy: store.active().flatMap(({ runDir }) => runDir ?? []) });
    app.pages.runsDeleted(deleted);
    // A run that is being replaced is not there for a moment.
    if (isUnsure) onFiles.call();
    return runs;
  };
  const drawRuns = (): readonly RunGroup[] => {
    const groups = runTree({ runs: listed ?? [], jobs: store.list(), nowMs: Date.now() });
    const items = groups.flatMap(group => group.items);
    const counts = (flag: RunFlag): number => items.filter(({ flags }) => flags.includes(flag)).length;
    setContext('rowtune.noRuns', counts('folder') === 0);
    setContext('rowtune.nothingToCompare', counts('folder') < 2);
    setContext('rowtune.noResumable', counts('resumable') === 0);
    setContext('rowtune.noAnswers', counts('answers') === 0);
    return groups;
  };

  const sentenceOf = (error: unknown): string => reportError(error, { hasRecipe: false, isRemote: app.services.isRemote() }).message;
  const runs = createGroupView<RunItem>({
    id: 'rowtune.runs',
    canSelectMany: true,
    load: async () => {
      const client = await connected(app);
      if (client === undefined) return [];
      await listRuns(client);
      return drawRuns();
    },
    draw: drawRun,
    note: () => (isRunListCut ? 'The folders are too large to search completely. There may be more runs.' : undefined),
    sentenceOf,
  });
  // A redrawn tree may have no selection for a while.
  let selectedRun: RunItem | undefined;
  runs.view.onDidChangeSelection(({ selection }) => {
    selectedRun = selection.find(node => 'flags' in node) ?? selectedRun;
  });
  const models = createGroupView<ModelItem>({
    id: 'rowtune.models',
    load: async () => {
      const client = await connected(app);
      if (client === undefined) return [];
      const { models, truncated } = await client.request('listModels', { folders: trainerFolders(app) });
      isModelListCut = truncated;
      return modelTree(models);
    },
    draw: drawModel,
    note: () => (isModelListCut ? 'The folders are too large to search completely. There may be more models.' : undefined),
    sentenceOf,
  });
  const devices = createGroupView<DeviceItem>({
    id: 'rowtune.devices',
    load: async () => {
      const client = await connected(app);
      if (client === undefined) return [];
      const status = await client.request('engineStatus', {});
      setContext('rowtune.engineMissing', status.installedEngines.length === 0);
      return [{ name: '', items: deviceTree(status, app.services.isRemote()) }];
    },
    draw: drawDevice,
    sentenceOf,
  });
  const all = [runs, models, devices];
  /** Menus and the palette depend on the runs even if the view is hidden. */
  const reloadRuns = async (): Promise<void> => {
    await runs.reload();
    const client = app.daemon.current;
    if (runs.view.visible || client === undefined) return;
    // Hidden views do not interrupt with errors.
    await listRuns(client).then(drawRuns, error => app.output.write('debug', `runs can't be listed: ${String(error)}`));
  };
  const reloadAll = (): void => {
    void reloadRuns();
    for (const each of [models, devices]) void each.reload();
  };
  const redrawRuns = (): void => {
    if (listed !== undefined && runs.view.visible) runs.show(drawRuns());
  };
  const onFiles = throttle(
    () => void reloadRuns(),
    () => FILE_CHANGES_MS,
  );
  const states = workspace.createFileSystemWatcher('**/state.json');
  const timer = setInterval(redrawRuns, REDRAW_MS);
  const subscriptions = [
    states,
    states.onDidCreate(onFiles.call),
    states.onDidChange(onFiles.call),
    states.onDidDelete(onFiles.call),
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
    listRuns,
    dispose() {
      clearInterval(timer);
      onFiles.dispose();
      stopListening();
      for (const each of [...subscriptions, ...all]) each.dispose();
    },
  };
}

/**
 * Starts a daemon for a visible view, unless the user stopped it. Undefined if none runs on this machine: the empty
 * view then shows its welcome text with a start button.
 * @throws DaemonError if a remote daemon does not answer, or a local one fails to start
 */
async function connected({ daemon, isDaemonWanted, services }: App): Promise<DaemonClient | undefined> {
  if (!workspace.isTrusted) return undefined;
  if (services.isRemote()) return daemon.ensure();
  return isDaemonWanted() ? daemon.ensure().catch(noneRuns) : daemon.join();
}

function noneRuns(error: unknown): undefined {
  if (!isDaemonMissing(error)) throw error;
}

/** Folders of the workspace, and those of jobs that were started elsewhere. */
function runFolders(app: App): readonly string[] {
  const { store } = app;
  const folders = trainerFolders(app);
  const inside = (runDir: string): boolean => folders.some(folder => runDir === folder || runDir.startsWith(`${folder}/`));
  const others = store.list().flatMap(({ runDir }) => (runDir === undefined || inside(runDir) ? [] : [runDir]));
  return [...folders, ...new Set(others)];
}

function drawRun(run: RunItem): TreeItem {
  const { id, label, description, tooltip, icon, group, flags } = run;
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  const color = COLORS[group];
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon, color === undefined ? undefined : new ThemeColor(color));
  item.contextValue = flags.join(' ');
  // With arguments, the editor would identify the command by a number that every redraw revokes before the tree has the
  // next one.
  if (flags.includes('run')) item.command = { command: COMMANDS.openSelectedRun, title: 'Open Run' };
  item.accessibilityInformation = { label: `${label}, ${group}, ${description}` };
  return item;
}

function drawModel({ id, label, description, tooltip, icon, flags }: ModelItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon);
  item.contextValue = flags.join(' ');
  return item;
}

function drawDevice({ id, label, description, tooltip, icon, command }: DeviceItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon);
  item.contextValue = command?.id === COMMANDS.installEngine ? 'device installable' : 'device';
  if (command !== undefined) item.command = { command: command.id, title: command.title };
  return item;
}

const lines = (texts: readonly string[]): MarkdownString => new MarkdownString(texts.map(escapeMarkdown).join('  \n'));
