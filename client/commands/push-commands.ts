/** Push to the Hub: asks for an export, the name of the repository, and who may read it. */
import path from 'node:path';
import { env, Uri, window, workspace } from 'vscode';
import { EXPORT_MANIFEST } from '../../trainer/protocol/export-manifest-name.ts';
import { isHubName } from '../../trainer/protocol/hub-name.ts';
import type { App } from '../app.ts';
import { runCommandLine } from '../daemon/run-command-line.ts';
import { uriOf } from '../recipe/recipe-files.ts';
import { EXCLUDED_GLOB } from '../recipe/recipe-names.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** Matches the manifest that lists the files of an export. */
const EXPORTS_GLOB = `**/${EXPORT_MANIFEST}`;
const MAX_EXPORTS = 100;
/** Key in the global state: the owner of the last repository that was pushed to. */
const LAST_OWNER = 'rowtune.hubOwner';

const VISIBILITIES = [
  { label: 'Private', detail: 'You and your organization can read it', flags: [] },
  { label: 'Public', detail: 'Everyone can read it', flags: ['--public'] },
];

export function pushCommands({ app }: CommandContext): CommandTable<'pushExport'> {
  return {
    pushExport: async argument => {
      const folder = await folderOf(argument);
      if (folder === undefined) return;
      const repository = await askRepository(app, folder);
      if (repository === undefined) return;
      const title = `Push to ${repository}`;
      const visibility = await window.showQuickPick(VISIBILITIES, {
        title,
        placeHolder: 'Select who may read the repository',
        ignoreFocusOut: true,
      });
      if (visibility === undefined) return;
      const result = await runCommandLine(app, { title, args: ['push', folder, repository, ...visibility.flags] });
      const { url, uploaded } = result;
      const count = Array.isArray(uploaded) ? uploaded.length : 0;
      const sent = count === 0 ? 'The hub has all files already' : `${count} files were pushed`;
      const open = await window.showInformationMessage(`${sent}: ${String(url)} (${String(result.visibility)}).`, 'Open on the Hub');
      if (open !== undefined) await env.openExternal(Uri.parse(String(url)));
    },
  };
}

/** Returns the folder of an export: the argument, or the user's choice from those in the workspace and elsewhere. */
async function folderOf(argument: unknown): Promise<string | undefined> {
  if (typeof argument === 'string') return argument;
  const uri = uriOf(argument);
  if (uri !== undefined) return path.basename(uri.fsPath) === EXPORT_MANIFEST ? path.dirname(uri.fsPath) : uri.fsPath;
  const found = await workspace.findFiles(EXPORTS_GLOB, EXCLUDED_GLOB, MAX_EXPORTS);
  const folders = found.map(({ fsPath }) => path.dirname(fsPath)).sort();
  const items = folders.map(folder => ({ label: workspace.asRelativePath(folder), folder }));
  const browse = { label: 'Browse…', folder: undefined };
  const picked = items.length === 0 ? browse : await window.showQuickPick([...items, browse], { placeHolder: 'Select an export to push' });
  if (picked === undefined || picked.folder !== undefined) return picked?.folder;
  const [chosen] =
    (await window.showOpenDialog({
      title: 'Select an exported folder',
      openLabel: 'Push',
      canSelectFolders: true,
      canSelectFiles: false,
    })) ?? [];
  return chosen?.fsPath;
}

async function askRepository({ context: { globalState } }: App, folder: string): Promise<string | undefined> {
  const owner = globalState.get<string>(LAST_OWNER);
  const name = path.basename(folder).replace(/[^\w.-]+/g, '-');
  const repository = await window.showInputBox({
    title: 'Repository on the Hugging Face Hub',
    prompt: 'organization/name, or a name below your account. It is created if there is none.',
    value: owner === undefined ? name : `${owner}/${name}`,
    ignoreFocusOut: true,
    validateInput: text => (isHubName(text.trim()) ? undefined : 'A name such as organization/name, of letters, digits, dots and dashes'),
  });
  const [given, rest] = repository?.trim().split('/') ?? [];
  if (rest !== undefined) await globalState.update(LAST_OWNER, given);
  return repository?.trim();
}
