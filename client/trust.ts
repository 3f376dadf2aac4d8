/** Untrusted workspaces: recipes are read and checked, but nothing runs. */
import { workspace } from 'vscode';
import { DaemonError } from '../trainer/rpc/daemon-error.ts';

/** @throws DaemonError 'workspace-untrusted' */
export function requireTrust(): void {
  if (!workspace.isTrusted) throw new DaemonError('workspace-untrusted', 'this command needs a trusted workspace');
}

/**
 * The commands that the manifest enables in trusted workspaces only. The palette and menus respect that; lenses, links
 * and buttons do not.
 * @param manifest package.json
 */
export function commandsWithTrust(manifest: unknown): ReadonlySet<string> {
  const { contributes } = manifest as { readonly contributes: { readonly commands: readonly { command: string; enablement?: string }[] } };
  return new Set(contributes.commands.filter(({ enablement }) => enablement?.includes('isWorkspaceTrusted')).map(({ command }) => command));
}
