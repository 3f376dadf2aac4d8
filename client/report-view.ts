/** Shows Markdown reports as unsaved documents, each in its own tab. */
import { commands, EventEmitter, type TextDocumentContentProvider, Uri, workspace } from 'vscode';

const SCHEME = 'rowtune-report';

export interface ReportView {
  show(name: string, markdown: string): Promise<void>;
  dispose(): void;
}

export function createReportView(): ReportView {
  const texts = new Map<string, string>();
  const changed = new EventEmitter<Uri>();
  const provider: TextDocumentContentProvider = {
    onDidChange: changed.event,
    provideTextDocumentContent: uri => texts.get(uri.path) ?? 'This report is from an earlier session. Run the command again.',
  };
  const registration = workspace.registerTextDocumentContentProvider(SCHEME, provider);
  return {
    async show(name, markdown) {
      const uri = Uri.from({ scheme: SCHEME, path: `/${name}.md` });
      texts.set(uri.path, markdown);
      changed.fire(uri);
      // An unlocked preview reuses one tab for all documents, so the next report would replace this one.
      await commands.executeCommand('markdown.showPreview', uri, undefined, { locked: true });
    },
    dispose() {
      registration.dispose();
      changed.dispose();
    },
  };
}
