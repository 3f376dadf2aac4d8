/** The version in the extension's manifest. */
import type { ExtensionContext } from 'vscode';

export function extensionVersion({ extension }: ExtensionContext): string {
  const manifest: { readonly version?: unknown } = extension.packageJSON;
  return String(manifest.version);
}
