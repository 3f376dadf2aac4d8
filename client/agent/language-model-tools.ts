/**
 * The catalog's tools for language models in the editor's chat. Each runs as a command of the command line; a tool that starts or stops
 * training asks the user first.
 */

import path from 'node:path';
import {
  type Disposable,
  LanguageModelTextPart,
  type LanguageModelTool,
  LanguageModelToolResult,
  lm,
  MarkdownString,
  workspace,
} from 'vscode';
import {
  type AgentTool,
  type AgentToolName,
  agentToolNames,
  agentTools,
  argumentsOf,
  warningOf,
} from '../../trainer/catalog/agent-tools.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import type { App } from '../app.ts';

type Input = Readonly<Record<string, unknown>>;

/** The tool's name in package.json. */
const contributedName = (name: AgentToolName): string => `rowtune_${name}`;

export const registerLanguageModelTools = (app: App): Disposable[] =>
  agentToolNames.map(name => lm.registerTool(contributedName(name), toolOf(app, name)));

function toolOf(app: App, name: AgentToolName): LanguageModelTool<Input> {
  const { title, changes, checkedBy }: AgentTool = agentTools[name];
  return {
    prepareInvocation: ({ input }) => ({
      invocationMessage: `Rowtune: ${title}`,
      ...(changes && { confirmationMessages: { title: `Rowtune: ${title}`, message: confirmation(changes.question, input) } }),
    }),
    invoke: async ({ input }, token) => {
      if (changes && app.services.isRemote())
        throw new DaemonError('far-daemon', 'tools start and stop training only with the daemon of this machine', {
          hint: 'Use the commands of Rowtune, or clear the setting rowtune.daemon.url.',
        });
      const abort = new AbortController();
      const canceled = token.onCancellationRequested(() => abort.abort());
      try {
        const call = (called: AgentToolName) => app.rowtune(argumentsOf(called, input, absolute), { signal: abort.signal });
        const check = checkedBy === undefined ? undefined : await call(checkedBy);
        const texts = [JSON.stringify(await call(name)), ...warningOf(check)];
        return new LanguageModelToolResult(texts.map(text => new LanguageModelTextPart(text)));
      } finally {
        canceled.dispose();
      }
    },
  };
}

function confirmation(question: string, input: Input): MarkdownString {
  const text = new MarkdownString(`${question}\n\n`);
  text.appendCodeblock(JSON.stringify(input, undefined, 2), 'json');
  return text;
}

/** Resolves relative paths against the first folder of the workspace. */
function absolute(file: string): string {
  const folder = workspace.workspaceFolders?.[0]?.uri.fsPath;
  return folder === undefined ? file : path.resolve(folder, file);
}
