/** New Recipe: asks for the model, data, task and method, then opens a commented recipe. */
import path from 'node:path';
import { QuickPickItemKind, Uri, window, workspace } from 'vscode';
import { methodNames } from '../../trainer/catalog/methods.ts';
import { objectiveNames } from '../../trainer/catalog/objectives.ts';
import { heldOutFiles, isHeldOutName } from '../../trainer/files/held-out-files.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../trainer/files/regular-file.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import type { ModelInfo } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { DataFileInfo } from '../../trainer/protocol/view/data.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import type { App } from '../app.ts';
import { logText, reportError } from '../ask/error-report.ts';
import { BACK, type Choice, pickStep, type StepPick } from '../ask/pick-step.ts';
import { DATA_ENDINGS } from '../recipe/data-endings.ts';
import { dataFacts } from '../recipe/data-facts.ts';
import { findRecipes, uriOf } from '../recipe/recipe-files.ts';
import { EXCLUDED_GLOB, isRecipeName, recipeStem } from '../recipe/recipe-names.ts';
import { isModelItem, modelFacts, modelLabels } from '../views/model-tree.ts';
import { trainerFolders } from '../views/views.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** Maximum number of data files that are read for their descriptions; more than fit on a screen. */
const MAX_DESCRIBED = 50;
const DATA_GLOB = `**/*.{${DATA_ENDINGS}}`;
const MAX_DATA_FILES = 500;

interface ModelChoice {
  /** A hub name, or a path. */
  readonly name: string;
  /** The model's folder, if it is on this machine. */
  readonly path?: string;
}

/** The answers so far. */
interface Answers {
  readonly model?: ModelChoice;
  readonly data?: DataChoice;
  readonly task?: string;
  readonly method?: string;
}

interface DataChoice {
  readonly file?: string;
  /** The held-out data, if it is in a file of its own. */
  readonly evaluation?: string;
}

/** Adds an answer to the previous ones. */
type Question = (before: Answers, place: Place) => Promise<Answers | typeof BACK | undefined>;

type Place = Pick<StepPick<unknown>, 'title' | 'step' | 'totalSteps' | 'canGoBack'>;

export function newRecipeCommands({ app }: CommandContext): CommandTable<'newRecipe'> {
  return {
    newRecipe: async argument => {
      const folder = await targetFolder(argument);
      if (folder === undefined) return;
      const given = modelOf(argument);
      const others = [askData(app), askTask(app), askMethod];
      const questions = given === undefined ? [askModel(app), ...others] : others;
      const stack: Answers[] = [given === undefined ? {} : { model: given }];
      while (await askAll(questions, stack)) {
        const failure = await writeRecipe(app, folder, stack.at(-1)).then(() => undefined, failureOf);
        if (failure === undefined) return;
        // Keep the answers, because only the connection to the daemon may have failed.
        const next = await offerRetry(app, failure.error);
        if (next === undefined) return;
        if (next === 'change') stack.pop();
      }
    },
  };
}

const failureOf = (error: unknown): { readonly error: unknown } => ({ error });

async function offerRetry(app: App, error: unknown): Promise<'again' | 'change' | undefined> {
  const [again, change] = ['Try Again', 'Change Answers'];
  app.output.write('error', logText(error));
  const { message } = reportError(error, { hasRecipe: false, isRemote: app.services.isRemote() });
  const chosen = await window.showErrorMessage(message, again, change);
  return chosen === again ? 'again' : chosen === change ? 'change' : undefined;
}

/** @throws DaemonError with what is wrong with the model or the data, or if the daemon does not answer */
async function writeRecipe(app: App, folder: Uri, answers: Answers = {}): Promise<void> {
  const { model, data } = answers;
  const [task, method] = [objectiveNames.find(name => name === answers.task), methodNames.find(name => name === answers.method)];
  if (model === undefined || task === undefined || method === undefined) return;
  const { freeName, recipeFileName, recipeText } = await (await import('../lazy-modules.ts')).recipeText();
  // The workspace search does not cover a folder outside the workspace.
  const beside = (await workspace.fs.readDirectory(folder)).map(([file]) => file).filter(isRecipeName);
  const taken = new Set([...(await findRecipes()).map(uri => uri.path), ...beside].map(recipeStem));
  const name = freeName(model.name, method, taken);
  const uri = Uri.joinPath(folder, recipeFileName(name));
  const client = await app.daemon.ensure();
  // A daemon on another machine can't read these files.
  const looked = app.services.isRemote() ? undefined : data?.file;
  const baseDir = app.settings().daemonFolder || folder.fsPath;
  const found = await client.request('newRecipe', { model: model.path ?? model.name, data: looked, task, method, baseDir });
  if ('problem' in found) throw new DaemonError('unfit-answers', found.problem.message, { hint: found.problem.hint });
  const [train, evaluation] = [data?.file, data?.evaluation].map(file => (file === undefined ? undefined : written(file, folder.fsPath)));
  const text = recipeText({ ...found.fitting, name, model: written(model.name, folder.fsPath), method, train, evaluation });
  await workspace.fs.writeFile(uri, new TextEncoder().encode(text));
  await window.showTextDocument(uri, { preview: false });
}

/** Runs the steps in order, forward and back, starting at the last answer. Returns false if the user closed a step. */
async function askAll(questions: readonly Question[], answers: Answers[]): Promise<boolean> {
  while (answers.length <= questions.length) {
    const at = answers.length - 1;
    const place = { title: 'New Recipe', step: at + 1, totalSteps: questions.length, canGoBack: at > 0 };
    const answer = await questions[at]?.(answers[at] ?? {}, place);
    if (answer === undefined) return false;
    if (answer === BACK) answers.pop();
    else answers.push(answer);
  }
  return true;
}

/** Offers only the tasks that the model can be tuned for, if it is on this machine. */
const askTask =
  (app: App): Question =>
  async (before, place) => {
    // Loaded here because nothing needs the schema earlier.
    const { choicesOf, taskOfConfig } = await (await import('../lazy-modules.ts')).recipeText();
    const items = async () => {
      const [tasks, config] = await Promise.all([tasksOf(app, before.model), readConfig(before.model?.path)]);
      const fitting = taskOfConfig(config) ?? tasks?.[0];
      return choicesOf('task')
        .filter(({ word }) => tasks?.some(task => task === word) ?? true)
        .map(({ word, label, doc }) => ({
          label,
          detail: doc,
          description: word === fitting ? 'fits this model' : undefined,
          value: word,
        }))
        .sort((a, b) => Number(b.value === fitting) - Number(a.value === fitting));
    };
    const task = await pickStep({ ...place, placeHolder: 'Select the task of the model', items: items() });
    return typeof task === 'string' ? { ...before, task } : task;
  };

/** Returns undefined if the daemon can't read the model, or if it is not downloaded yet. */
async function tasksOf(app: App, model: ModelChoice | undefined): Promise<readonly string[] | undefined> {
  if (model?.path === undefined) return undefined;
  try {
    const client = await app.daemon.ensure();
    return (await client.request('modelTasks', { model: model.path })).tasks;
  } catch (error) {
    app.output.write('debug', `the tasks of ${model.path} are not known: ${messageOf(error)}`);
    return undefined;
  }
}

const askMethod: Question = async (before, place) => {
  const { choicesOf } = await (await import('../lazy-modules.ts')).recipeText();
  const items = choicesOf('method').map(({ word, label, doc, isDefault }) => ({
    label,
    detail: doc,
    description: isDefault ? 'default' : undefined,
    value: word,
  }));
  const method = await pickStep({ ...place, placeHolder: 'Select a method', items });
  return typeof method === 'string' ? { ...before, method } : method;
};

/** The config of a model on this machine; undefined if the file is missing or is not JSON. */
async function readConfig(folder: string | undefined): Promise<unknown> {
  if (folder === undefined) return undefined;
  try {
    return JSON.parse(await readRegularText(path.join(folder, 'config.json'), MAX_STATE_BYTES));
  } catch {
    return undefined;
  }
}

/** The model of an item in the Models view, or of a model folder in the explorer. */
function modelOf(argument: unknown): ModelChoice | undefined {
  if (isModelItem(argument)) return { name: argument.model, path: argument.path };
  return argument instanceof Uri ? { name: argument.fsPath, path: argument.fsPath } : undefined;
}

async function targetFolder(argument: unknown): Promise<Uri | undefined> {
  const about = uriOf(argument);
  const own = about === undefined ? undefined : workspace.getWorkspaceFolder(about);
  if (own !== undefined) return own.uri;
  const folders = workspace.workspaceFolders ?? [];
  if (folders.length === 1) return folders[0]?.uri;
  if (folders.length > 1) return (await window.showWorkspaceFolderPick({ placeHolder: 'Select the folder of the recipe' }))?.uri;
  const chosen = await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: false, openLabel: 'Write the Recipe Here' });
  return chosen?.[0];
}

function askModel(app: App): Question {
  const listed = async (): Promise<Choice<ModelChoice | 'hub' | 'disk'>[]> => {
    const client = await app.daemon.ensure();
    const { models, truncated } = await client.request('listModels', { folders: trainerFolders(app) });
    const labelOf = modelLabels(models);
    const group = (label: string, source: ModelInfo['source']): Choice<ModelChoice>[] => {
      const items = models.filter(model => model.source === source && model.problem === undefined);
      if (items.length === 0) return [];
      const separator: Choice<ModelChoice> = { label, kind: QuickPickItemKind.Separator };
      return [
        separator,
        ...items.map(model => ({
          label: labelOf(model),
          description: modelFacts(model),
          value: { name: source === 'cache' ? model.name : model.path, path: model.path },
        })),
      ];
    };
    return [
      ...group('in the workspace', 'folder'),
      ...group('exported from runs', 'run'),
      ...group('in the cache', 'cache'),
      { label: truncated ? 'elsewhere (the folders are too large to list all models)' : 'elsewhere', kind: QuickPickItemKind.Separator },
      { label: '$(cloud) A model from the Hugging Face hub…', value: 'hub' },
      { label: '$(folder-opened) A folder or .gguf file…', value: 'disk' },
    ];
  };
  const ask: Question = async (before, place) => {
    const chosen = await pickStep({ ...place, placeHolder: 'Select a model', items: listed() });
    if (chosen === BACK || chosen === undefined) return chosen;
    if (typeof chosen === 'object') return { ...before, model: chosen };
    const model = chosen === 'hub' ? await typeModel(place) : await browseModel();
    // Leaving the name box returns to the list.
    return model === undefined ? ask(before, place) : { ...before, model };
  };
  return ask;
}

async function typeModel({ title, step, totalSteps }: Place): Promise<ModelChoice | undefined> {
  const name = await window.showInputBox({
    title: `${title} (${step}/${totalSteps})`,
    prompt: 'Name of the model on the hub. It is downloaded when a training first needs it.',
    placeHolder: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    ignoreFocusOut: true,
    validateInput: text => (/^[\w.-]+\/[\w.-]+$/.test(text.trim()) ? undefined : 'Write the name as owner/model'),
  });
  return name === undefined ? undefined : { name: name.trim() };
}

async function browseModel(): Promise<ModelChoice | undefined> {
  const file = (await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: true, openLabel: 'Use This Model' }))?.[0]?.fsPath;
  return file === undefined ? undefined : { name: file, path: file };
}

function askData(app: App): Question {
  const ask: Question = async (before, place) => {
    const files = findData();
    const items = files.then(found => dataChoices(found, []));
    const detailed = files.then(async found => dataChoices(found, await describeFiles(app, found)));
    const chosen = await pickStep({ ...place, placeHolder: 'Select the training data', items, detailed });
    if (chosen === BACK || chosen === undefined) return chosen;
    const file = chosen === 'disk' ? await browseData() : chosen.file;
    if (file === undefined) return chosen === 'disk' ? ask(before, place) : { ...before, data: {} };
    const data = await askHeldOut(file, place);
    return data === BACK ? ask(before, place) : data && { ...before, data };
  };
  return ask;
}

const browseData = async (): Promise<string | undefined> =>
  (await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: true, openLabel: 'Use This Data' }))?.[0]?.fsPath;

/** Asks only if there are files of held-out data next to the training data. */
async function askHeldOut(file: string, place: Place): Promise<DataChoice | typeof BACK | undefined> {
  const found = await heldOutFiles(file);
  if (found.length === 0) return { file };
  const items: Choice<DataChoice>[] = [
    ...found.map(evaluation => ({
      label: path.basename(evaluation),
      description: 'next to the training data',
      value: { file, evaluation },
    })),
    { label: 'A tenth of the training data', description: 'is held out', value: { file } },
  ];
  return pickStep({ ...place, canGoBack: true, placeHolder: 'Select the held-out data', items });
}

interface FoundData {
  readonly label: string;
  readonly file: string;
}

async function findData(): Promise<readonly FoundData[]> {
  const files = await workspace.findFiles(DATA_GLOB, EXCLUDED_GLOB, MAX_DATA_FILES);
  return (
    files
      .map(uri => ({ label: workspace.asRelativePath(uri), file: uri.fsPath }))
      // Exclude run folders: their metrics are not training data.
      .filter(({ label }) => !/(^|\/)runs\//.test(label))
      // Held-out data is not what a model is trained on, so it comes last.
      .sort((a, b) => Number(isHeldOutName(a.label)) - Number(isHeldOutName(b.label)) || a.label.localeCompare(b.label))
  );
}

/** Describes the files in order; returns an empty list if the daemon is on another machine, which can't read them. */
async function describeFiles(app: App, files: readonly FoundData[]): Promise<readonly DataFileInfo[]> {
  if (app.services.isRemote() || files.length === 0) return [];
  try {
    const client = await app.daemon.ensure();
    return (await client.request('describeData', { files: files.slice(0, MAX_DESCRIBED).map(({ file }) => file) })).files;
  } catch (error) {
    app.output.write('debug', `the data files can't be described: ${messageOf(error)}`);
    return [];
  }
}

function dataChoices(files: readonly FoundData[], known: readonly DataFileInfo[]): Choice<DataChoice | 'disk'>[] {
  return [
    ...files.map(({ label, file }, place) => ({ label, value: { file }, ...dataFacts(known[place]) })),
    { label: 'elsewhere', kind: QuickPickItemKind.Separator },
    { label: '$(folder-opened) Another file or folder…', value: 'disk' },
    { label: '$(clock) I have no data yet', value: {} },
  ];
}

/** A path inside the folder is written relative to it, so the folder can be moved; hub names stay unchanged. */
function written(value: string, folder: string): string {
  if (!path.isAbsolute(value)) return value.trim();
  const relative = path.relative(folder, value);
  if (relative === '' || relative.startsWith('..')) return value;
  return relative.split(path.sep).join('/');
}
