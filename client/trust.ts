/** A workspace that is not trusted: its recipes are read and checked, but nothing is run for it. */
import { workspace } from 'vscode';
import { DaemonError } from '../trainer/rpc/daemon-error.ts';

/** @throws DaemonError 'workspace-untrusted' */
export function requireTrust(): void {
  if (!workspace.isTrusted) throw new DaemonError('workspace-untrusted', 'nothing is run for a workspace that is not trusted');
}

/**
 * The commands that the manifest keeps for trusted workspaces. The palette and menus hold to it; lenses, links and buttons do not.
 * @param manifest package.json
 */
export function commandsWithTrust(manifest: unknown): ReadonlySet<string> {
  const { contributes } = manifest as { readonly contributes: { readonly commands: readonly { command: string; enablement?: string }[] } };
  return new Set(contributes.commands.filter(({ enablement }) => enablement?.includes('isWorkspaceTrusted')).map(({ command }) => command));
}
