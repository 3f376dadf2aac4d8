/** Finds the run that a command is about: an item of the view, a link, a folder, or the user's choice from a list. */
import path from 'node:path';
import { CancellationTokenSource, type QuickPickItem, QuickPickItemKind, type QuickPickOptions, ThemeIcon, Uri, window } from 'vscode';
import type { App } from '../app.ts';
import type { RunFlag, RunItem } from '../views/run-tree.ts';
import { comparableRuns, runsByPlace, runTree } from '../views/run-tree.ts';
import { trainerFolders, type Views } from '../views/views.ts';

export interface RunPick {
  readonly placeHolder: string;
  /** The capability that the run must have. */
  readonly flag: RunFlag;
  /** The message if no run has it. */
  readonly none: string;
}

/** All current items. */
export async function runItems({ daemon, store }: App, views: Views): Promise<readonly RunItem[]> {
  const runs = await views.listRuns(await daemon.ensure());
  return runTree({ runs, jobs: store.list(), nowMs: Date.now() }).flatMap(({ items }) => items);
}

/** Returns undefined if the user picked no run. If there is none to pick, a message says so. */
export async function runFor(app: App, views: Views, argument: unknown, pick: RunPick): Promise<RunItem | undefined> {
  if (isRunItem(argument)) return argument;
  const listing = runItems(app, views);
  const isEnding = pick.flag === 'active' || pick.flag === 'stoppable';
  // The list opens at once and fills when the daemon answers.
  if (argument === undefined && !isEnding)
    return pickItem(
      app,
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
  // A single running job is stopped without asking.
  if (fitting.length === 1 && isEnding) return only;
  return pickItem(app, Promise.resolve(fitting), pick);
}

async function pickItem(app: App, fitting: Promise<readonly RunItem[]>, { placeHolder, none }: RunPick): Promise<RunItem | undefined> {
  const picks = fitting.then((items): readonly ItemPick[] => {
    const { here, elsewhere } = runsByPlace(items, trainerFolders(app));
    if (elsewhere.length === 0) return here.map(asPick);
    return [...here.map(asPick), { label: 'in other folders', kind: QuickPickItemKind.Separator }, ...elsewhere.map(asPick)];
  });
  return (await pickOrExplain(picks, { placeHolder, none }))?.item;
}

interface ItemPick extends QuickPickItem {
  readonly item?: RunItem;
}

/** Opens a list before its items are known; shows a message instead if there are none. */
export async function pickOrExplain<T extends QuickPickItem>(
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

/** Several runs, for a comparison. */
export async function runsFor(app: App, views: Views, argument: unknown, all: unknown, placeHolder: string): Promise<readonly RunItem[]> {
  const given = (Array.isArray(all) ? all : [argument]).filter(isRunItem).filter(({ flags }) => flags.includes('folder'));
  if (given.length > 1) return given;
  const items = comparableRuns(await runItems(app, views));
  if (items.length < 2) {
    void window.showInformationMessage('A comparison needs at least two runs.');
    return [];
  }
  const picks = items.map(item => ({ ...asPick(item), picked: given.some(({ id }) => id === item.id) }));
  const options = { placeHolder, canPickMany: true, matchOnDescription: true, ignoreFocusOut: true } as const;
  const chosen = await window.showQuickPick(picks, options);
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
