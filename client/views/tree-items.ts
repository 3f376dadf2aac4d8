/** Creates the editor's tree items from plain data. */
import { MarkdownString, ThemeColor, ThemeIcon, TreeItem, TreeItemCollapsibleState } from 'vscode';
import type { RemedyItem } from '../ask/remedies.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { escapeMarkdown } from '../status/status-text.ts';
import type { DeviceItem } from './device-tree.ts';
import type { ModelItem } from './model-tree.ts';
import type { RunGroupName, RunItem } from './run-tree.ts';

const COLORS: Readonly<Record<RunGroupName, string | undefined>> = {
  Running: 'charts.blue',
  Waiting: undefined,
  Stopped: 'charts.yellow',
  Failed: 'charts.red',
  Finished: 'charts.green',
  Archived: undefined,
};

export function drawRun(run: RunItem): TreeItem {
  const { id, label, description, tooltip, icon, group, flags } = run;
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  const color = COLORS[group];
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon, color === undefined ? undefined : new ThemeColor(color));
  item.contextValue = flags.join(' ');
  // If the command had arguments, the editor would identify it by a number. Every redraw revokes that number before the tree has the next
  // one.
  if (flags.includes('run')) item.command = { command: COMMANDS.openSelectedRun, title: 'Open Run' };
  item.accessibilityInformation = { label: `${label}, ${group}, ${description}` };
  return item;
}

export function drawModel({ id, label, description, tooltip, icon, flags }: ModelItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon);
  item.contextValue = flags.join(' ');
  return item;
}

export function drawDevice({ id, label, description, tooltip, icon, command }: DeviceItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = id;
  item.description = description;
  item.tooltip = lines(tooltip);
  item.iconPath = new ThemeIcon(icon);
  item.contextValue = command?.id === COMMANDS.installEngine ? 'device installable' : 'device';
  if (command !== undefined) item.command = { command: command.id, title: command.title };
  return item;
}

export function drawRemedy({ remedy, label, command, args }: RemedyItem): TreeItem {
  const item = new TreeItem(label, TreeItemCollapsibleState.None);
  item.id = `remedy:${remedy}`;
  item.iconPath = new ThemeIcon('arrow-right');
  item.command = { command, title: label, arguments: args && [...args] };
  return item;
}

const lines = (texts: readonly string[]): MarkdownString => new MarkdownString(texts.map(escapeMarkdown).join('  \n'));
