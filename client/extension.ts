/** Entry point of the VS Code extension: connects its parts. Heavy parts are loaded on first use. */
import type { ExtensionContext } from 'vscode';
import { registerChatModels } from './agent/chat-provider.ts';
import { registerLanguageModelTools } from './agent/language-model-tools.ts';
import { registerMcpServer } from './agent/mcp-provider.ts';
import { createApp } from './app.ts';
import { registerCommands } from './commands/register-commands.ts';
import { watchJobs } from './daemon/watch-jobs.ts';
import { createServer, type ServerControl } from './language-client.ts';
import { watchModelFolders } from './model-folders.ts';
import { offerConversions } from './recipe/foreign-recipes.ts';
import { createReportView } from './report-view.ts';
import { createStatusBar } from './status/status-bar.ts';
import { createViews } from './views/views.ts';

let server: ServerControl | undefined;

export function activate(context: ExtensionContext): void {
  const app = createApp(context);
  const reports = createReportView();
  const views = createViews(app);
  server = createServer({ context, cacheDir: app.folders.cacheDir, onError: error => app.notify.error(error) });
  context.subscriptions.push(
    app.output,
    app.daemon,
    app.pages,
    reports,
    views,
    createStatusBar(app),
    watchJobs(app, views),
    watchModelFolders(),
    ...offerConversions(),
    ...registerLanguageModelTools(app),
    ...registerMcpServer(app),
    ...registerChatModels(app, views),
    ...registerCommands({ app, views, server, reports }),
  );
}

export const deactivate = (): Promise<void> | undefined => server?.dispose();
