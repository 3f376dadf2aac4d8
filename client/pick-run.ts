/** The run that a command is about: of the view's item, a link or a folder, or one that is picked from a list. */
import path from 'node:path';
import { ThemeIcon, Uri, window } from 'vscode';
import type { App } from './app.ts';
import type { RunFlag, RunItem } from './views/run-tree.ts';
import { runTree } from './views/run-tree.ts';
import type { Views } from './views/views.ts';

export interface RunPick {
  readonly placeHolder: string;
  /** What the run must have. */
  readonly flag: RunFlag;
  /** Said where there is none. */
  readonly none: string;
}

/** All items as they are now. */
export async function runItems({ daemon, store }: App, views: Views): Promise<readonly RunItem[]> {
  const runs = await views.listRuns(await daemon.ensure());
  return runTree({ runs, jobs: store.list(), nowMs: Date.now() }).flatMap(({ items }) => items);
}

/** Undefined where the user picked none, or there is none to pick, which is then said. */
export async function runFor(app: App, views: Views, argument: unknown, pick: RunPick): Promise<RunItem | undefined> {
  if (isRunItem(argument)) return argument;
  const items = await runItems(app, views);
  if (typeof argument === 'string' || argument instanceof Uri) {
    const wanted = argument instanceof Uri ? argument.fsPath : argument;
    const found = items.find(
      ({ runDir, jobId }) => jobId === wanted || (runDir !== undefined && (runDir === wanted || wanted.startsWith(runDir + path.sep))),
    );
    if (found !== undefined) return found;
  }
  const fitting = items.filter(({ flags }) => flags.includes(pick.flag));
  const [only] = fitting;
  // To stop the one job there is needs no list of one.
  if (fitting.length === 1 && pick.flag === 'active') return only;
  if (fitting.length === 0) {
    void window.showInformationMessage(pick.none);
    return undefined;
  }
  return (await window.showQuickPick(fitting.map(asPick), { placeHolder: pick.placeHolder, matchOnDescription: true }))?.item;
}

/** Several, for a comparison. */
export async function runsFor(app: App, views: Views, argument: unknown, all: unknown, placeHolder: string): Promise<readonly RunItem[]> {
  const given = (Array.isArray(all) ? all : [argument]).filter(isRunItem).filter(({ flags }) => flags.includes('folder'));
  if (given.length > 1) return given;
  const items = (await runItems(app, views)).filter(({ flags }) => flags.includes('folder'));
  if (items.length < 2) {
    void window.showInformationMessage('There are not yet two runs to compare.');
    return [];
  }
  const picks = items.map(item => ({ ...asPick(item), picked: given.some(({ id }) => id === item.id) }));
  const chosen = await window.showQuickPick(picks, { placeHolder, canPickMany: true, matchOnDescription: true });
  return (chosen ?? []).map(({ item }) => item);
}

export const isRunItem = (value: unknown): value is RunItem =>
  typeof value === 'object' && value !== null && 'flags' in value && 'group' in value;

const asPick = (item: RunItem) => ({
  label: item.label,
  description: `${item.group.toLowerCase()} · ${item.description}`,
  detail: item.runDir,
  iconPath: new ThemeIcon(item.icon.replace('~spin', '')),
  item,
});
