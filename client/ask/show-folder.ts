/** Shows a folder to the user: in the Explorer, in the system's file manager, or by its path where neither can show it. */
import { commands, env, UIKind, Uri, window, workspace } from 'vscode';

export const SHOW_FOLDER = 'Show Folder';
const COPY_PATH = 'Copy Path';

/** Shows a folder of the machine on which the extension runs. */
export async function showFolder(folder: string): Promise<void> {
  const uri = Uri.file(folder);
  // The Explorer only reveals files of the workspace.
  if (workspace.getWorkspaceFolder(uri) !== undefined) return void (await commands.executeCommand('revealInExplorer', uri));
  // A file manager cannot open a folder of another machine, and a browser has none.
  const hasFileManager = env.remoteName === undefined && env.uiKind === UIKind.Desktop;
  if (hasFileManager) return void (await commands.executeCommand('revealFileInOS', uri));
  const message = `The folder is outside the workspace: ${folder}`;
  if ((await window.showInformationMessage(message, COPY_PATH)) !== undefined) await env.clipboard.writeText(folder);
}
