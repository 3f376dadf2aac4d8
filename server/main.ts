/** The language server's entry: shows the problems of a recipe as it is typed, from the parser that the trainer uses. */
import { createConnection, type Diagnostic, DiagnosticSeverity, TextDocumentSyncKind } from 'vscode-languageserver/node';
import { parseRecipe } from '../trainer/protocol/parse-recipe.ts';
import type { Position, Problem, Severity } from '../trainer/protocol/problem.ts';

const severities: Readonly<Record<Severity, DiagnosticSeverity>> = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  info: DiagnosticSeverity.Information,
};

const connection = createConnection();

// A recipe is a page, so the whole text comes with every change.
connection.onInitialize(() => ({ capabilities: { textDocumentSync: TextDocumentSyncKind.Full } }));
connection.onDidOpenTextDocument(({ textDocument }) => publish(textDocument.uri, textDocument.text));
connection.onDidChangeTextDocument(({ textDocument, contentChanges }) => publish(textDocument.uri, contentChanges.at(-1)?.text ?? ''));
connection.onDidCloseTextDocument(({ textDocument }) => connection.sendDiagnostics({ uri: textDocument.uri, diagnostics: [] }));
connection.listen();

function publish(uri: string, text: string): Promise<void> {
  const { problems } = parseRecipe(text, { fileName: uri });
  return connection.sendDiagnostics({ uri, diagnostics: problems.map(toDiagnostic) });
}

function toDiagnostic({ code, severity, message, range }: Problem): Diagnostic {
  return {
    range: { start: toPosition(range.start), end: toPosition(range.end) },
    severity: severities[severity],
    code,
    source: 'rowtune',
    message,
  };
}

const toPosition = ({ line, column }: Position) => ({ line, character: column });
