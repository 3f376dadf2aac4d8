/** The run that a command is about: of the view's item, a link or a folder, or one that is picked from a list. */
import path from 'node:path';
import { CancellationTokenSource, type QuickPickItem, type QuickPickOptions, ThemeIcon, Uri, window } from 'vscode';
import type { App } from '../app.ts';
import type { RunFlag, RunItem } from '../views/run-tree.ts';
import { runTree } from '../views/run-tree.ts';
import type { Views } from '../views/views.ts';

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
  const listing = runItems(app, views);
  const isEnding = pick.flag === 'active' || pick.flag === 'stoppable';
  // The list opens at once and fills when the daemon has answered.
  if (argument === undefined && !isEnding)
    return pickItem(
      listing.then(items => items.filter(({ flags }) => flags.includes(pick.flag))),
      pick,
    );
  const items = await listing;
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
  if (fitting.length === 1 && isEnding) return only;
  return pickItem(Promise.resolve(fitting), pick);
}

async function pickItem(fitting: Promise<readonly RunItem[]>, { placeHolder, none }: RunPick): Promise<RunItem | undefined> {
  const chosen = await pickOrTell(
    fitting.then(items => items.map(asPick)),
    { placeHolder, none },
  );
  return chosen?.item;
}

/** A list that opens before its items are known; where there are none, that is said in its place. */
export async function pickOrTell<T extends QuickPickItem>(
  items: Promise<readonly T[]>,
  { none, ...options }: QuickPickOptions & { readonly none: string },
): Promise<T | undefined> {
  const closing = new CancellationTokenSource();
  let isEmpty = false;
  const known = items.then(found => {
    isEmpty = found.length === 0;
    if (isEmpty) closing.cancel();
    return found;
  });
  try {
    return await window.showQuickPick(known, { matchOnDescription: true, ...options }, closing.token);
  } finally {
    if (isEmpty) void window.showInformationMessage(none);
    closing.dispose();
  }
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

export const asPick = (item: RunItem) => ({
  label: item.label,
  description: `${item.group.toLowerCase()} · ${item.description}`,
  detail: item.runDir,
  iconPath: new ThemeIcon(item.icon.replace('~spin', '')),
  item,
});
