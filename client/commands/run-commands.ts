/** Commands for runs and models: open, compare, try, export, delete. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { commands, Uri, window, workspace } from 'vscode';
import { artifactCatalog, formatsFor, typesOf } from '../../trainer/catalog/artifacts.ts';
import { comparesAnswers, comparesTexts, givesLabels, type ObjectiveName, writesText } from '../../trainer/catalog/objectives.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import { byteSize } from '../../trainer/protocol/text/format.ts';
import { isRunItem, runFor, runItems, runsFor } from '../ask/pick-run.ts';
import { scoresFor } from '../ask/pick-scores.ts';
import { SHOW_FOLDER, showFolder } from '../ask/show-folder.ts';
import { runJob } from '../daemon/run-job.ts';
import { activeRecipe, uriOf } from '../recipe/recipe-files.ts';
import { recipeStem } from '../recipe/recipe-names.ts';
import { asFacts } from '../reports.ts';
import { isModelItem } from '../views/model-tree.ts';
import { newestRun, type RunItem } from '../views/run-tree.ts';
import type { CommandContext } from './command-context.ts';
import { COMMANDS, type CommandTable } from './command-ids.ts';
import { readRunFile, runRecipe } from './recipe-commands.ts';

type Names =
  | 'openRun'
  | 'openLastRun'
  | 'openHeatmap'
  | 'compareRuns'
  | 'tryModel'
  | 'exportRun'
  | 'refreshRuns'
  | 'deleteRun'
  | 'openSelectedRun'
  | 'openRunRecipe'
  | 'openRunLog'
  | 'openRunFolder'
  | 'refreshModels'
  | 'refreshDevices';

const NO_RUNS = 'There are no runs yet.';

export function runCommands(context: CommandContext): CommandTable<Names> {
  const { app, views } = context;
  const { pages } = app;
  const openRun = (runDir: string): Promise<void> => pages.open('run', { runDir });
  const pick = (argument: unknown, placeHolder: string): Promise<RunItem | undefined> =>
    runFor(app, views, argument, { placeHolder, flag: 'run', none: NO_RUNS });

  /** Reloads a view. A request for runs starts a daemon, and a new connection reloads every view. */
  async function refresh(reload: () => Promise<void>): Promise<void> {
    if (app.daemon.current !== undefined) return reload();
    await app.daemon.ensure();
  }

  return {
    openRun: async argument => {
      const item = await pick(argument, 'Select a run to open');
      if (item?.runDir !== undefined) await openRun(item.runDir);
    },
    openSelectedRun: async () => {
      const runDir = views.selectedRun()?.runDir;
      if (runDir !== undefined) await openRun(runDir);
    },
    openLastRun: async (argument, folder: unknown) => {
      const runDir = await lastRun(context, argument, folder);
      if (runDir !== undefined) await openRun(runDir);
    },
    openHeatmap: async argument => {
      const source = await scoresFor(app, views, argument);
      if (source !== undefined) await pages.open('heatmap', { kind: 'heatmap', sources: [source] });
    },
    compareRuns: async (argument, ...rest: readonly unknown[]) => {
      const items = await runsFor(app, views, argument, rest[0], 'Select runs to compare');
      const runDirs = items.flatMap(({ runDir }) => runDir ?? []);
      if (runDirs.length > 1) await pages.open('compare', { runDirs });
    },
    tryModel: async argument => {
      const state = await tryState(context, argument);
      if (state !== undefined) await pages.open('try', state);
    },
    exportRun: argument => exportRun(context, argument),
    refreshRuns: () => refresh(views.reloadRuns),
    refreshModels: () => refresh(views.reloadModels),
    refreshDevices: () => refresh(views.reloadDevices),
    deleteRun: (argument, ...rest) => deleteRuns(context, argument, rest[0]),
    openRunRecipe: argument => openFileOf(context, argument, 'recipe', 'Select a run to open its recipe'),
    openRunLog: argument => openFileOf(context, argument, 'log', 'Select a run to open its log'),
    openRunFolder: argument => showFolderOf(context, argument),
  };
}

/** Opens a file of a run; for a remote run, a copy of its current state. */
async function openFileOf(context: CommandContext, argument: unknown, file: 'recipe' | 'log', placeHolder: string): Promise<void> {
  const { app, views } = context;
  const item = await runFor(app, views, argument, { placeHolder, flag: 'folder', none: NO_RUNS });
  if (item?.runDir === undefined) return;
  if (!app.services.isRemote()) return void (await window.showTextDocument(Uri.file(path.join(item.runDir, RUN_FILES[file]))));
  const content = await readRunFile(context, item.runDir, file);
  await window.showTextDocument(await workspace.openTextDocument({ content, language: file === 'recipe' ? 'yaml' : 'log' }));
}

async function showFolderOf({ app, views }: CommandContext, argument: unknown): Promise<void> {
  const item = await runFor(app, views, argument, { placeHolder: 'Select a run to show its folder', flag: 'folder', none: NO_RUNS });
  if (item?.runDir === undefined) return;
  if (app.services.isRemote()) return app.notify.info(`The folder is on the daemon's machine: ${item.runDir}`);
  await showFolder(item.runDir);
}

/** The folder of the recipe's newest run, or of the newest run of any recipe. */
async function lastRun({ app, views }: CommandContext, argument: unknown, folder: unknown): Promise<string | undefined> {
  // The lens provides the folder if the runs are on this machine.
  if (typeof folder === 'string' && !app.services.isRemote()) return folder;
  const recipe = uriOf(argument) ?? activeRecipe();
  const stem = recipe === undefined ? undefined : recipeStem(recipe.path);
  const name = recipe === undefined ? undefined : ((await nameOf(recipe)) ?? stem);
  const runDir = newestRun(await runItems(app, views), name)?.runDir;
  if (runDir === undefined) void window.showInformationMessage(stem === undefined ? NO_RUNS : `${stem} has not been trained yet.`);
  return runDir;
}

/** @param all the selection in the view, if the command was started there */
async function deleteRuns({ app, views }: CommandContext, argument: unknown, all: unknown): Promise<void> {
  const given = (Array.isArray(all) ? all : [argument]).filter(isRunItem).filter(({ flags }) => flags.includes('deletable'));
  const picked =
    given.length > 0
      ? undefined
      : await runFor(app, views, argument, { placeHolder: 'Select a run to delete', flag: 'deletable', none: NO_RUNS });
  const items = picked === undefined ? given : [picked];
  const runDirs = items.flatMap(({ runDir }) => runDir ?? []);
  if (runDirs.length === 0) return;
  const title = runDirs.length === 1 ? `Delete the run ${items[0]?.label}?` : `Delete ${runDirs.length} runs?`;
  const detail = `Its checkpoints, metrics and logs are deleted from disk:\n${runDirs.join('\n')}`;
  if ((await window.showWarningMessage(title, { modal: true, detail }, 'Delete')) === undefined) return;
  const client = await app.daemon.ensure();
  const deleted: string[] = [];
  for (const runDir of runDirs)
    await client.request('deleteRun', { runDir }).then(
      () => deleted.push(runDir),
      error => app.notify.error(error),
    );
  app.pages.runsDeleted(deleted);
  await views.reloadRuns();
}

/** The name that a recipe gives its runs, read from its text, which may be incomplete. */
async function nameOf(recipe: Uri): Promise<string | undefined> {
  const open = workspace.textDocuments.find(document => document.uri.toString() === recipe.toString());
  const text = open?.getText() ?? new TextDecoder().decode(await workspace.fs.readFile(recipe));
  return /^\s*"?name"?\s*:\s*"?([^"#\n,]+?)"?\s*(?:[#,].*)?$/m.exec(text)?.[1];
}

/** @throws Error if the run has no recipe */
async function recipeOfRun(context: CommandContext, runDir: string): Promise<Recipe | undefined> {
  const { text } = await runRecipe(context, runDir);
  const { parseRecipe } = await (await import('../lazy-modules.ts')).parseRecipe();
  return parseRecipe(text).recipe;
}

/** Initial state of the Try page: a run compared with its base, or a model alone. */
async function tryState(context: CommandContext, argument: unknown): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (isModelItem(argument))
    return { model: argument.model, revision: 'main', baseDir: path.dirname(argument.path), label: argument.label };
  const uri = uriOf(argument);
  if (uri !== undefined)
    return { model: uri.fsPath, revision: 'main', baseDir: path.dirname(uri.fsPath), label: path.basename(uri.fsPath) };
  const { app, views } = context;
  const item = await runFor(app, views, argument, {
    placeHolder: 'Select a run to try',
    flag: 'answers',
    none: 'No trained run has a model that can be tried.',
  });
  if (item?.runDir === undefined) return undefined;
  const recipe = await recipeOfRun(context, item.runDir);
  if (recipe === undefined) throw new Error(`The recipe of ${item.label} cannot be read`);
  const { model, revision, task } = recipe;
  return {
    model,
    revision,
    adapter: item.runDir,
    baseDir: item.runDir,
    label: item.label,
    givesLabels: givesLabels(task),
    comparesTexts: comparesTexts(task),
    comparesAnswers: comparesAnswers(task),
    scoresOnly: comparesAnswers(task) && !writesText(task),
  };
}

const PUSH = 'Push to the Hub';

const formatItems = (task: ObjectiveName | undefined) =>
  formatsFor(task).map(format => {
    const { label, summary, suffix, types = {} } = artifactCatalog[format];
    return {
      label,
      detail: summary,
      format,
      suffix,
      types: typesOf(format).map(type => ({ label: types[type] ?? type, type })),
    };
  });

async function exportRun(context: CommandContext, argument: unknown): Promise<void> {
  const { app, views } = context;
  const item = await runFor(app, views, argument, {
    placeHolder: 'Select a run to export',
    flag: 'adapter',
    none: 'There is no run to export yet.',
  });
  if (item?.runDir === undefined) return;
  const { runDir, label } = item;
  // If the recipe of the run cannot be read, all formats are offered, and the export reports what is wrong.
  const recipe = await recipeOfRun(context, runDir).catch(() => undefined);
  const chosen = await window.showQuickPick(formatItems(recipe?.task), {
    title: `Export ${label}`,
    placeHolder: 'Select a format',
    ignoreFocusOut: true,
  });
  if (chosen === undefined) return;
  const title = `Export ${label} as ${chosen.label}`;
  const typed =
    chosen.types.length === 0
      ? { type: undefined }
      : await window.showQuickPick(chosen.types, { title, placeHolder: 'Select the type of the weights', ignoreFocusOut: true });
  if (typed === undefined) return;
  const suggested = path.join(path.dirname(runDir), `${path.basename(runDir)}-${chosen.suffix}`);
  const isRemote = app.services.isRemote();
  const outputDir = isRemote ? await askFarFolder(label, suggested) : await askFolder(label, suggested);
  if (outputDir === undefined) return;
  // The save dialog has already asked whether to replace the folder. Folders on another machine can't be checked, so none is replaced.
  const isThere = !isRemote && existsSync(outputDir);
  const job = await runJob(app, {
    title: `Exporting ${label}`,
    start: (client, id) =>
      client.request('exportRun', { id, adapter: runDir, format: chosen.format, type: typed.type, outputDir, overwrite: isThere }),
  });
  if (job === undefined) return;
  const { bytes, largestDifference } = asFacts(job.result);
  const size = typeof bytes === 'number' ? ` ${byteSize(bytes)}.` : '';
  const difference = largestDifference === 0 ? 'are the same' : `differ by at most ${Number(largestDifference).toExponential(1)}`;
  const proof = typeof largestDifference === 'number' ? ` Its logits ${difference}.` : '';
  const actions = isRemote ? [] : [SHOW_FOLDER, PUSH];
  const action = await window.showInformationMessage(
    `${label} was exported to ${outputDir}${isRemote ? ' on the machine of the daemon' : ''}.${size}${proof}`,
    ...actions,
  );
  if (action === PUSH) await commands.executeCommand(COMMANDS.pushExport, outputDir);
  else if (action !== undefined) await showFolder(outputDir);
}

async function askFolder(label: string, suggested: string): Promise<string | undefined> {
  const target = await window.showSaveDialog({
    title: `Export ${label} to a folder`,
    saveLabel: 'Export',
    defaultUri: Uri.file(suggested),
  });
  return target?.fsPath;
}

/** Asks for a folder with an input box, because a dialog can't browse the disk of another machine. */
const askFarFolder = (label: string, suggested: string): Thenable<string | undefined> =>
  window.showInputBox({
    title: `Export ${label} to this folder on the daemon's machine`,
    value: suggested,
    ignoreFocusOut: true,
    validateInput: text => (path.isAbsolute(text) ? undefined : 'An absolute path'),
  });
