/** Offers runs in the model picker of the editor's chat, if the editor has that interface. */
import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import { methodLabel } from '../../trainer/catalog/labels.ts';
import type { ChatModel } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { App } from '../app.ts';
import { hasEnded, isTraining } from '../daemon/job-store.ts';
import { connected, runFolders, type Views } from '../views/views.ts';
import { chatAnswer, longestAnswer } from './chat-answer.ts';
import { conversationOf, countedText } from './chat-conversation.ts';
import { type ChatModelInformation, type ChatProvider, hostsChatProviders } from './chat-provider-api.ts';
import { ListedModels } from './listed-models.ts';
import { TokenCounter } from './token-counter.ts';

/** The vendor name in package.json. */
const VENDOR = 'rowtune';

interface RunInformation extends ChatModelInformation {
  /** The run; the editor passes this object back unchanged. */
  readonly run: ChatModel;
}

export function registerChatModels(app: App, views: Pick<Views, 'onRunsListed'>): vscode.Disposable[] {
  const { lm } = vscode;
  if (!hostsChatProviders(lm)) return [];
  const changed = new vscode.EventEmitter<void>();
  const stops = [
    app.store.onChanged(record => {
      if (isTraining(record) && hasEnded(record)) changed.fire();
    }),
    app.onDaemonState(({ kind }) => {
      if (kind === 'connected') changed.fire();
    }),
  ];
  const models = new ListedModels();
  const lists = views.onRunsListed(runs => {
    if (models.differ(runs)) changed.fire();
  });
  const counters = new Map<string, TokenCounter>();
  const provider: ChatProvider<RunInformation> = {
    onDidChangeLanguageModelChatInformation: changed.event,
    provideLanguageModelChatInformation: async () => {
      const client = await connected(app);
      const listed = await client?.request('listChatModels', { folders: runFolders(app) });
      return (listed?.models ?? []).map(informationOf);
    },
    provideLanguageModelChatResponse: async ({ run }, messages, options, progress, token) => {
      const abort = new AbortController();
      const canceled = token.onCancellationRequested(() => abort.abort());
      try {
        const calls = await chatAnswer({
          services: app.services,
          model: run,
          conversation: conversationOf(messages, options, run),
          settings: options.modelOptions ?? {},
          onText: chunk => progress.report(new vscode.LanguageModelTextPart(chunk)),
          keepSeconds: 60 * app.settings().chatKeepMinutes,
          signal: abort.signal,
        });
        for (const { name, arguments: input } of calls)
          progress.report(new vscode.LanguageModelToolCallPart(randomUUID(), name, { ...input }));
      } finally {
        canceled.dispose();
      }
    },
    provideTokenCount: async ({ run }, text) => {
      const counter = counters.get(run.runDir) ?? counterOf(app, run);
      counters.set(run.runDir, counter);
      return counter.count(countedText(text));
    },
  };
  return [changed, lists, { dispose: () => stops.forEach(stop => void stop()) }, lm.registerLanguageModelChatProvider(VENDOR, provider)];
}

const counterOf = (app: App, { runDir }: ChatModel): TokenCounter =>
  new TokenCounter(async texts => {
    const daemon = await app.services.daemon();
    return (await daemon.request('countTokens', { runDir, texts })).tokens;
  });

function informationOf(run: ChatModel): RunInformation {
  const { runDir, name, family, method, trains, model, positions, callsTools, readsImages, updatedAt } = run;
  const maxOutputTokens = longestAnswer(run);
  return {
    run,
    id: runDir,
    name,
    family,
    version: updatedAt,
    detail: 'Rowtune',
    tooltip: [`${name}: ${model}`, ...(method === undefined ? [] : [methodLabel(method, trains)]), runDir].join('\n'),
    maxInputTokens: positions - maxOutputTokens,
    maxOutputTokens,
    capabilities: { imageInput: readsImages, toolCalling: callsTools },
  };
}
