/** The editor's side of the pages' services: dialogs, documents, commands and settings. */
import os from 'node:os';
import { commands, Range, Uri, WorkspaceEdit, window, workspace } from 'vscode';
import type { Notifier } from '../ask/notify.ts';
import type { ClientSettings } from '../client-settings.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import type { DaemonKeeper } from '../daemon/daemon-connection.ts';
import type { JobStore } from '../daemon/job-store.ts';
import type { Output } from '../output.ts';
import { recipeSource } from '../recipe/recipe-files.ts';
import { requireTrust } from '../trust.ts';
import type { Pages } from './page-panel.ts';
import type { PageServices } from './page-services.ts';

export interface EditorServicesParams {
  readonly daemon: DaemonKeeper;
  readonly store: JobStore;
  readonly output: Output;
  readonly notify: Notifier;
  settings(): ClientSettings;
  pages(): Pages;
}

export function createEditorServices({ daemon, store, output, notify, settings, pages }: EditorServicesParams): PageServices {
  return {
    daemon: async () => {
      requireTrust();
      return daemon.ensure();
    },
    isRemote: () => settings().daemonUrl !== '',
    jobs: () => store.list(),
    onJobEvent: listener => store.onEvent(listener),
    onJobChanged: listener => store.onChanged(listener),
    saveFile: async ({ suggestedName, content }) => {
      const folder = workspace.workspaceFolders?.[0]?.uri ?? Uri.file(os.homedir());
      const target = await window.showSaveDialog({ defaultUri: Uri.joinPath(folder, suggestedName) });
      if (target === undefined) return undefined;
      await workspace.fs.writeFile(target, typeof content === 'string' ? new TextEncoder().encode(content) : content);
      return target.fsPath;
    },
    openFile: async (file, line) => {
      const at = line === undefined ? undefined : new Range(line - 1, 0, line - 1, 0);
      await window.showTextDocument(Uri.file(file), { preview: true, viewColumn: -2, selection: at });
    },
    recipeSource: uri => recipeSource(Uri.parse(uri, true), settings()),
    editRecipe: async (uri, edit) => {
      const document = await workspace.openTextDocument(Uri.parse(uri, true));
      const change = edit(document.getText());
      if (change === undefined) return;
      const edits = new WorkspaceEdit();
      const { start, end } = change.range;
      edits.replace(document.uri, new Range(start.line, start.column, end.line, end.column), change.newText);
      await workspace.applyEdit(edits);
    },
    openPage: ({ kind, state }) => pages().open(kind, state),
    command: async (name, { runDir }) => commands.executeCommand(COMMANDS[name], runDir),
    showError: error => notify.error(error),
    setting: name => (name === 'heatmap.colorMap' ? settings().heatmapColorMap : ''),
    updateIntervalMs: () => settings().updateIntervalMs,
    log: {
      info: message => output.write('info', message),
      warn: message => output.write('warning', message),
      error: message => output.write('error', message),
    },
  };
}
