/** New Recipe: model → data → task → method, then a file with comments, opened. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type QuickPickItem, QuickPickItemKind, Uri, window, workspace } from 'vscode';
import type { ModelInfo } from '../../trainer/protocol/rpc-messages.ts';
import type { App } from '../app.ts';
import { findRecipes, uriOf } from '../recipe-files.ts';
import { EXCLUDED_GLOB, recipeStem } from '../recipe-names.ts';
import { isModelItem, modelFacts } from '../views/model-tree.ts';
import { workspacePaths } from '../views/views.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

const DATA_GLOB = '**/*.{jsonl,csv,tsv,parquet}';
const MAX_DATA_FILES = 500;
const STEPS = 4;

interface ModelChoice {
  /** A name on the hub, or a path. */
  readonly name: string;
  /** Its folder, where it is on this machine. */
  readonly path?: string;
}

interface Choice<T> extends QuickPickItem {
  readonly value?: T;
}

export function newRecipeCommands({ app }: CommandContext): CommandTable<'newRecipe'> {
  return {
    newRecipe: async argument => {
      const folder = await targetFolder(argument);
      if (folder === undefined) return;
      const model = modelOf(argument) ?? (await askModel(app));
      if (model === undefined) return;
      const data = await askData();
      if (data === undefined) return;
      // The schema is not needed before.
      const { choicesOf, freeName, modelHints, recipeFileName, recipeText } = await (await import('../later.ts')).recipeText();
      const hints = modelHints(await readConfig(model.path));
      const ask = (setting: 'task' | 'method', step: number, placeHolder: string): Promise<string | undefined> =>
        pick({
          step,
          placeHolder,
          items: choicesOf(setting)
            .map(({ word, doc, isDefault }) => ({
              label: word,
              detail: doc,
              description: word === hints.task ? 'fits this model' : isDefault ? 'default' : '',
              value: word,
            }))
            .sort((a, b) => Number(b.value === hints.task) - Number(a.value === hints.task)),
        });
      const task = await ask('task', 3, 'What the model is tuned to do');
      if (task === undefined) return;
      const method = await ask('method', 4, 'How it is tuned');
      if (method === undefined) return;
      const taken = new Set((await findRecipes()).map(uri => recipeStem(uri.path)));
      const name = freeName(model.name, method, taken);
      const uri = Uri.joinPath(folder, recipeFileName(name));
      const text = recipeText({
        name,
        model: written(model.name, folder.fsPath),
        // The words come from the schema's own table.
        task: task as Parameters<typeof recipeText>[0]['task'],
        method: method as Parameters<typeof recipeText>[0]['method'],
        train: data.file === undefined ? undefined : written(data.file, folder.fsPath),
        maxPositions: hints.maxPositions,
      });
      await workspace.fs.writeFile(uri, new TextEncoder().encode(text));
      await window.showTextDocument(uri, { preview: false });
    },
  };
}

/** Of a model on this machine; what is not there or no JSON tells nothing. */
async function readConfig(folder: string | undefined): Promise<unknown> {
  if (folder === undefined) return undefined;
  try {
    return JSON.parse(await readFile(path.join(folder, 'config.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** A model's item in the view, or its folder in the explorer. */
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
  if (folders.length > 1) return (await window.showWorkspaceFolderPick({ placeHolder: 'Where the recipe is written' }))?.uri;
  const chosen = await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: false, openLabel: 'Write the Recipe Here' });
  return chosen?.[0];
}

async function askModel(app: App): Promise<ModelChoice | undefined> {
  const typed = Symbol('typed');
  const browsed = Symbol('browsed');
  const listed = async (): Promise<Choice<ModelChoice | symbol>[]> => {
    const client = await app.daemon.ensure();
    const models = await client.request('listModels', { folders: workspacePaths() });
    const group = (label: string, source: ModelInfo['source']): Choice<ModelChoice>[] => {
      const items = models.filter(model => model.source === source && model.problem === undefined);
      if (items.length === 0) return [];
      const separator: Choice<ModelChoice> = { label, kind: QuickPickItemKind.Separator };
      return [
        separator,
        ...items.map(model => ({
          label: model.name,
          description: modelFacts(model),
          value: { name: source === 'cache' ? model.name : model.path, path: model.path },
        })),
      ];
    };
    return [
      ...group('in the workspace', 'folder'),
      ...group('exported into runs', 'run'),
      ...group('in the cache', 'cache'),
      { label: 'elsewhere', kind: QuickPickItemKind.Separator },
      { label: '$(cloud) A model of the Hugging Face hub…', value: typed },
      { label: '$(folder-opened) A folder or .gguf file…', value: browsed },
    ];
  };
  const chosen = await pick({ step: 1, placeHolder: 'The model to tune', items: listed() });
  if (chosen === typed) {
    const name = await window.showInputBox({
      title: 'New Recipe (1/4)',
      prompt: 'Its name on the hub; it is downloaded when a training first needs it.',
      placeHolder: 'HuggingFaceTB/SmolLM2-135M-Instruct',
      ignoreFocusOut: true,
      validateInput: text => (/^[\w.-]+\/[\w.-]+$/.test(text.trim()) ? undefined : 'A name has two parts: owner/model'),
    });
    return name === undefined ? undefined : { name: name.trim() };
  }
  if (chosen === browsed) {
    const file = (await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: true, openLabel: 'Use This Model' }))?.[0]?.fsPath;
    return file === undefined ? undefined : { name: file, path: file };
  }
  return typeof chosen === 'object' ? chosen : undefined;
}

async function askData(): Promise<{ readonly file?: string } | undefined> {
  const later = Symbol('later');
  const browsed = Symbol('browsed');
  const found = async (): Promise<Choice<string | symbol>[]> => {
    const files = await workspace.findFiles(DATA_GLOB, EXCLUDED_GLOB, MAX_DATA_FILES);
    return [
      ...files
        .map(uri => ({ label: workspace.asRelativePath(uri), value: uri.fsPath }))
        // Metrics of runs are no training data.
        .filter(({ label }) => !/(^|\/)runs\//.test(label))
        .sort((a, b) => a.label.localeCompare(b.label)),
      { label: 'elsewhere', kind: QuickPickItemKind.Separator },
      { label: '$(folder-opened) Another file or folder…', value: browsed },
      { label: '$(clock) I have no data yet', value: later },
    ];
  };
  const chosen = await pick({ step: 2, placeHolder: 'The training data', items: found() });
  if (chosen === undefined) return undefined;
  if (chosen === later) return {};
  if (chosen !== browsed) return { file: String(chosen) };
  const file = (await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: true, openLabel: 'Train on This' }))?.[0]?.fsPath;
  return file === undefined ? undefined : { file };
}

async function pick<T>({
  step,
  placeHolder,
  items,
}: {
  readonly step: number;
  readonly placeHolder: string;
  readonly items: readonly Choice<T>[] | Promise<readonly Choice<T>[]>;
}): Promise<T | undefined> {
  const chosen = await window.showQuickPick(items, {
    title: `New Recipe (${step}/${STEPS})`,
    placeHolder,
    ignoreFocusOut: true,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return chosen?.value;
}

/** A path inside the folder is written relative to it, so that the folder can be moved; a name on the hub stays. */
function written(value: string, folder: string): string {
  if (!path.isAbsolute(value)) return value.trim();
  const relative = path.relative(folder, value);
  if (relative === '' || relative.startsWith('..')) return value;
  return relative.split(path.sep).join('/');
}
