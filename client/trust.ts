/** Untrusted workspaces: recipes are read and checked, but nothing runs. */

import { workspace } from 'vscode';
import { isRecord } from '../trainer/narrow.ts';
import { DaemonError } from '../trainer/rpc/daemon-error.ts';

/** @throws DaemonError 'workspace-untrusted' */
export function requireTrust(): void {
  if (!workspace.isTrusted) throw new DaemonError('workspace-untrusted', 'this command needs a trusted workspace');
}

/**
 * The commands that the manifest enables only in trusted workspaces. The palette and menus respect that; lenses, links and buttons do not.
 * @param manifest package.json
 */
export function commandsWithTrust(manifest: unknown): ReadonlySet<string> {
  const { contributes } = isRecord(manifest) ? manifest : {};
  const commands: readonly unknown[] = isRecord(contributes) && Array.isArray(contributes.commands) ? contributes.commands : [];
  const names = commands.flatMap(each => {
    const { command, enablement } = isRecord(each) ? each : {};
    const needsTrust = typeof enablement === 'string' && enablement.includes('isWorkspaceTrusted');
    return needsTrust && typeof command === 'string' ? [command] : [];
  });
  return new Set(names);
}
