/**
 * Sets the context keys for the explorer's menus: folders that hold a model, and folders whose model writes text (`resourcePath in
 * rowtune.modelFolders`).
 */
import path from 'node:path';
import { workspace } from 'vscode';
import { setContext } from './context-keys.ts';
import { configWritesText } from './recipe/config-writes-text.ts';
import { EXCLUDED_GLOB } from './recipe/recipe-names.ts';

/** Maximum number of files found, to bound the search. */
const MAX_FILES = 500;
/** Delay of the first search, so that the window comes up first. */
const DELAY_MS = 1500;

export function watchModelFolders(): { dispose(): void } {
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const find = async (glob: string): Promise<Set<string>> => {
      const found = await workspace.findFiles(glob, EXCLUDED_GLOB, MAX_FILES);
      return new Set(found.map(({ fsPath }) => path.dirname(fsPath)));
    };
    const [configs, weights] = await Promise.all([find('**/config.json'), find('**/{*.safetensors,pytorch_model*.bin}')]);
    const folders = [...configs].filter(folder => weights.has(folder));
    setContext('rowtune.modelFolders', folders);
    const writing = await Promise.all(folders.map(folder => configWritesText(path.join(folder, 'config.json'))));
    setContext(
      'rowtune.textModelFolders',
      folders.filter((_, place) => writing[place]),
    );
  };
  const soon = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      // If the search fails, the menus only lack an entry.
      look().catch(() => undefined);
    }, DELAY_MS);
  };
  const watcher = workspace.createFileSystemWatcher('**/config.json', false, true, false);
  watcher.onDidCreate(soon);
  watcher.onDidDelete(soon);
  const folders = workspace.onDidChangeWorkspaceFolders(soon);
  soon();
  return {
    dispose() {
      clearTimeout(timer);
      watcher.dispose();
      folders.dispose();
    },
  };
}
