/** Converts the values of this room to those of the Language Server Protocol. Pure. */
import { pathToFileURL } from 'node:url';
import {
  type CodeAction,
  CodeActionKind,
  type CodeLens,
  type CompletionItem,
  CompletionItemKind,
  type Diagnostic,
  DiagnosticSeverity,
  type DocumentLink,
  type DocumentSymbol,
  type FoldingRange,
  type Hover,
  type InlayHint,
  type Range as LspRange,
  MarkupKind,
  SymbolKind,
  type TextEdit,
} from 'vscode-languageserver/node';
import type { LintProblem } from '../trainer/lint/problems/lint-problem.ts';
import type { QuickFix } from '../trainer/lint/quick-fixes.ts';
import type { Position, Range, Severity } from '../trainer/protocol/problem.ts';
import type { TextChange } from '../trainer/protocol/text/text-change.ts';
import type { Choice } from './completion.ts';
import type { HoverText } from './hover.ts';
import type { Hint } from './inlay-hints.ts';
import type { FileLink, Fold, OutlineEntry } from './outline.ts';

const severities: Readonly<Record<Severity, DiagnosticSeverity>> = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  info: DiagnosticSeverity.Information,
};

const toPosition = ({ line, column }: Position) => ({ line, character: column });
const toRange = ({ start, end }: Range): LspRange => ({ start: toPosition(start), end: toPosition(end) });
export const fromPosition = ({ line, character }: { line: number; character: number }): Position => ({ line, column: character });
export const fromRange = ({ start, end }: LspRange): Range => ({ start: fromPosition(start), end: fromPosition(end) });

/** @param docs address of the page with a section for each code */
export function toDiagnostic({ code, severity, message, range, related }: LintProblem, docs: string): Diagnostic {
  const diagnostic: Diagnostic = {
    range: toRange(range),
    severity: severities[severity],
    code,
    codeDescription: { href: `${docs}#${code}` },
    source: 'rowtune',
    message,
  };
  if (related === undefined) return diagnostic;
  const place = toPosition({ line: related.line, column: 0 });
  const location = { uri: pathToFileURL(related.file).href, range: { start: place, end: place } };
  return { ...diagnostic, relatedInformation: [{ location, message: related.message }] };
}

export const toEdit = ({ range, newText }: TextChange): TextEdit => ({ range: toRange(range), newText });

export const toCodeAction = ({ title, change, preferred, problem }: QuickFix, uri: string, docs: string): CodeAction => ({
  title,
  kind: CodeActionKind.QuickFix,
  isPreferred: preferred,
  diagnostics: [toDiagnostic(problem, docs)],
  edit: { changes: { [uri]: [toEdit(change)] } },
});

/** A conversion is offered on the first line and has no diagnostic of its own. */
export const toConversion = (title: string, change: TextChange, uri: string): CodeAction => ({
  title,
  kind: CodeActionKind.QuickFix,
  edit: { changes: { [uri]: [toEdit(change)] } },
});

export const toFixAll = (change: TextChange, uri: string): CodeAction => ({
  title: 'Fix every error that has a certain fix',
  kind: CodeActionKind.SourceFixAll,
  edit: { changes: { [uri]: [toEdit(change)] } },
});

export const toHover = ({ markdown, range }: HoverText): Hover => ({
  contents: { kind: MarkupKind.Markdown, value: markdown },
  range: toRange(range),
});

const choiceKinds: Readonly<Record<Choice['kind'], CompletionItemKind>> = {
  key: CompletionItemKind.Property,
  group: CompletionItemKind.Module,
  value: CompletionItemKind.EnumMember,
  model: CompletionItemKind.Module,
  module: CompletionItemKind.Class,
  folder: CompletionItemKind.Folder,
  file: CompletionItemKind.File,
  column: CompletionItemKind.Field,
};

/** Keeps the order of the table instead of the alphabet. */
export const toCompletion = ({ label, kind, insert, range, detail, documentation }: Choice, index: number): CompletionItem => ({
  label,
  kind: choiceKinds[kind],
  detail,
  sortText: String(index).padStart(4, '0'),
  documentation: documentation === undefined ? undefined : { kind: MarkupKind.Markdown, value: documentation },
  textEdit: { range: toRange(range), newText: insert },
});

export const toInlayHint = ({ at, label, tooltip }: Hint): InlayHint => ({
  position: toPosition(at),
  label,
  tooltip,
  paddingLeft: true,
});

const symbolKinds: Readonly<Record<OutlineEntry['kind'], SymbolKind>> = {
  group: SymbolKind.Object,
  list: SymbolKind.Array,
  setting: SymbolKind.Property,
};

export const toSymbol = ({ name, detail, kind, range, keyRange, children }: OutlineEntry): DocumentSymbol => ({
  name,
  detail,
  kind: symbolKinds[kind],
  range: toRange(range),
  selectionRange: toRange(keyRange),
  children: children.map(toSymbol),
});

export const toFold = ({ startLine, endLine, kind }: Fold): FoldingRange => ({ startLine, endLine, kind });

export const toLink = ({ range, file }: FileLink): DocumentLink => ({ range: toRange(range), target: pathToFileURL(file).href });

const lensCommands = [
  ['▶ Train', 'rowtune.train'],
  ['Importance', 'rowtune.importance'],
  ['Estimate memory', 'rowtune.estimate'],
] as const;

/**
 * Returns the lenses above the first line for actions on the recipe, and a preview above `data:`. The commands belong to the client; each
 * gets the recipe's address.
 * @param dataLine the line of `data:`, counted from 0, if the recipe has it
 * @param lastRun folder of the newest run of this recipe, if any: the second argument of `rowtune.openLastRun`
 */
export function codeLenses(uri: string, lastRun: string | undefined, dataLine: number | undefined): CodeLens[] {
  const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
  const lenses: CodeLens[] = lensCommands.map(([title, command]) => ({ range, command: { title, command, arguments: [uri] } }));
  if (lastRun !== undefined)
    lenses.push({ range, command: { title: 'Open last run', command: 'rowtune.openLastRun', arguments: [uri, lastRun] } });
  if (dataLine !== undefined) {
    const start = { line: dataLine, character: 0 };
    lenses.push({ range: { start, end: start }, command: { title: 'Preview data', command: 'rowtune.previewData', arguments: [uri] } });
  }
  return lenses;
}
