/** The VS Code extension's entry: starts the language server for recipes. */
import path from 'node:path';
import type { ExtensionContext } from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';

let client: LanguageClient | undefined;

export async function activate(context: ExtensionContext): Promise<void> {
  const module = context.asAbsolutePath(path.join('dist', 'server.js'));
  client = new LanguageClient(
    'rowtune',
    'Rowtune',
    { module, transport: TransportKind.ipc },
    { documentSelector: [{ pattern: '**/*.rowtune.{yaml,yml,json}' }] },
  );
  await client.start();
}

export const deactivate = (): Promise<void> | undefined => client?.stop();
