/** Offers the MCP server to the editor if it has that interface (1.101 and later). The user starts the server from the editor's list. */
import * as vscode from 'vscode';
import type { App } from '../app.ts';

/** The part of the interface that newer editors have and the oldest supported one lacks. */
interface NewerEditor {
  readonly McpStdioServerDefinition: new (
    label: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
    version: string,
  ) => object;
  readonly lm: {
    registerMcpServerDefinitionProvider(
      id: string,
      provider: { provideMcpServerDefinitions(): Promise<readonly object[]> },
    ): vscode.Disposable;
  };
}

/**
 * Version 1.100 has a draft of the interface under the same names, which rejects the declaration in package.json that later editors need.
 */
const FIRST_MINOR = 101;

function isNewer(editor: object): editor is NewerEditor {
  const [major = 0, minor = 0] = vscode.version.split('.').map(Number);
  const isFinal = major > 1 || minor >= FIRST_MINOR;
  return isFinal && 'McpStdioServerDefinition' in editor && 'registerMcpServerDefinitionProvider' in vscode.lm;
}

/** The provider's id in package.json. */
const PROVIDER = 'rowtune';

export function registerMcpServer(app: App): vscode.Disposable[] {
  const editor: object = vscode;
  if (!isNewer(editor)) return [];
  const provideMcpServerDefinitions = async (): Promise<readonly object[]> => {
    if (!vscode.workspace.isTrusted) return [];
    const { node, program, env, version } = await app.launch();
    // The editor may store and show a definition, so it contains no secret.
    const { HF_TOKEN: _secret, ...shown } = env;
    return [new editor.McpStdioServerDefinition('Rowtune', node.command, [program, 'mcp'], { ...shown, ...node.env }, version)];
  };
  return [editor.lm.registerMcpServerDefinitionProvider(PROVIDER, { provideMcpServerDefinitions })];
}
