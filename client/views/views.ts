/** The views of the container *Rowtune*: Runs, Models, Devices. Each asks the daemon when it is seen. */
import { commands, MarkdownString, ThemeColor, ThemeIcon, TreeItem, TreeItemCollapsibleState, workspace } from 'vscode';
import type { EngineStatus, ModelInfo, RunInfo } from '../../trainer/protocol/rpc-messages.ts';
import type { DaemonClient } from '../../trainer/rpc/connect.ts';
import type { App } from '../app.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { escapeMarkdown } from '../status-text.ts';
import { type DeviceItem, deviceTree } from './device-tree.ts';
import { createGroupView, type GroupView } from './group-view.ts';
import { type ModelItem, modelTree } from './model-tree.ts';
import { type RunGroupName, type RunItem, runTree } from './run-tree.ts';

export interface Views {
  readonly runs: GroupView<RunItem>;
  readonly models: GroupView<ModelItem>;
  readonly devices: GroupView<DeviceItem>;
  /** Runs as the daemon lists them now. */
  listRuns(client: DaemonClient): Promise<readonly RunInfo[]>;
  dispose(): void;
}

/** The folders of the workspace that the trainer can see. */
export const workspacePaths = (): readonly string[] =>
  (workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file').map(({ uri }) => uri.fsPath);

const COLORS: Readonly<Record<RunGroupName, string | undefined>> = {
  Running: 'charts.blue',
  Waiting: undefined,
  Stopped: 'charts.yellow',
  Failed: 'charts.red',
  Finished: 'charts.green',
};

export function createViews(app: App): Views {
  const { store } = app;
  const listRuns = (client: DaemonClient): Promise<readonly RunInfo[]> => client.request('listRuns', { folders: runFolders(app) });

  const runs: GroupView<RunItem> = createGroupView({
    id: 'rowtune.runs',
    canSelectMany: true,
    load: () =>
      shown(runs, async () => {
        const client = await connected(app);
        if (client === undefined) return [];
        const groups = runTree({ runs: await listRuns(client), jobs: store.list(), nowMs: Date.now() });
        const items = groups.flatMap(group => group.items);
        setContext('rowtune.noRuns', !items.some(({ flags }) => flags.includes('folder')));
        setContext('rowtune.noResumable', !items.some(({ flags }) => flags.includes('resumable')));
        return groups;
      }),
    draw: drawRun,
  });
  const models: GroupView<ModelItem> = createGroupView({
    id: 'rowtune.models',
    load: () =>
      shown(models, async () => {
        const client = await connected(app);
        const found: readonly ModelInfo[] = client === undefined ? [] : await client.request('listModels', { folders: workspacePaths() });
        return modelTree(found);
      }),
    draw: drawModel,
  });
  const devices: GroupView<DeviceItem> = createGroupView({
    id: 'rowtune.devices',
    load: () =>
      shown(devices, async () => {
        const client = await connected(app);
        if (client === undefined) return [];
        const status: EngineStatus = await client.request('engineStatus', {});
        setContext('rowtune.engineMissing', status.installedEngines.length === 0);
        return [{ name: '', items: deviceTree(status) }];
      }),
    draw: drawDevice,
  });
  const all = [runs, models, devices];
  const refreshAll = (): void => {
    for (const each of all) each.refresh();
  };
  const subscriptions = [
    ...all.map(each => each.view.onDidChangeVisibility(({ visible }) => visible && each.refresh())),
    workspace.onDidChangeWorkspaceFolders(() => refreshAll()),
  ];
  const stopListening = app.onDaemonState(({ kind }) => {
    if (kind === 'connected' || kind === 'off' || kind === 'failed') refreshAll();
  });
  return {
    runs,
    models,
    devices,
    listRuns,
    dispose() {
      stopListening();
      for (const each of [...subscriptions, ...all]) each.dispose();
    },
  };
}

/** Starts a daemon for a view that is seen, unless the user has stopped it. */
async function connected({ daemon, isDaemonWanted }: App): Promise<DaemonClient | undefined> {
  return isDaemonWanted() ? daemon.ensure() : daemon.join();
}

/** Errors stand in the view's message: they come without being asked for, so they interrupt nobody. */
async function shown<Item extends { readonly id: string }, T>(
  view: GroupView<Item>,
  load: () => Promise<readonly T[]>,
): Promise<readonly T[]> {
  try {
    const found = await load();
    view.view.message = undefined;
    return found;
  } catch (error) {
    view.view.message = error instanceof Error ? error.message : String(error);
    return [];
  }
}

/** Folders of the workspace, and those of jobs that were started from elsewhere. */
function runFolders({ store }: App): readonly string[] {
  const folders = workspacePaths();
  const inside = (runDir: string): boolean => folders.some(folder => runDir === folder || runDir.startsWith(`${folder}/`));
  const others = store.list().flatMap(({ runDir }) => (runDir === undefined || inside(runDir) ? [] : [runDir]));
  return [...folders, ...new Set(others)];
}

function drawRun({ id, label, description, tooltip, icon, group, flags }: RunItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  const color = COLORS[group];
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon, color === undefined ? undefined : new ThemeColor(color));
  item.contextValue = flags.join(' ');
  item.accessibilityInformation = { label: `${label}, ${group}, ${description}` };
  return item;
}

function drawModel({ id, label, description, tooltip, icon, isBroken }: ModelItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon);
  item.contextValue = isBroken ? 'model broken' : 'model';
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

const setContext = (key: string, value: boolean): void => void commands.executeCommand('setContext', key, value);
