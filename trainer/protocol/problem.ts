/** A problem of a recipe: a stable code, a position, a message and often a suggestion; and its form in a terminal. */
import { maskTokens } from './text/literal-token.ts';

/** A position in a text as in the Language Server Protocol: lines and columns from 0, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A range of text; `end` is exclusive. */
export interface Range {
  readonly start: Position;
  readonly end: Position;
}

export type Severity = 'error' | 'warning' | 'info';

/**
 * A fix that an editor can apply. Values are YAML text; `move-key` has the dotted path where the key belongs; `losesNothing` means that
 * deleting the key changes nothing.
 */
export type Suggestion =
  | { readonly kind: 'rename-key'; readonly to: string }
  | { readonly kind: 'move-key'; readonly to: string }
  | { readonly kind: 'remove-key'; readonly losesNothing?: true }
  | { readonly kind: 'replace-value'; readonly to: string };

export interface Problem {
  /** A stable code in kebab-case: 'unknown-key'. */
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  readonly path: readonly (string | number)[];
  /** A range in the file, or in `override` if that is set. */
  readonly range: Range;
  readonly suggestion?: Suggestion;
  /** The text of the command-line override at fault; undefined if the problem is in the file. */
  readonly override?: string;
}

export const hasErrors = (problems: readonly Problem[]): boolean => problems.some(({ severity }) => severity === 'error');

/** Maximum length of an excerpt: a longer line would wrap in a terminal and misplace the caret. The excerpt is cut around the position. */
const MAX_EXCERPT = 120;

/**
 * One block per problem: `file:line:column severity code message` (from 1), then the line with a caret below. This text is logged, so
 * tokens are masked and control characters shown as '·'.
 */
export function formatProblems(problems: readonly Problem[], fileName: string, text: string): string {
  const lines = text.split(/\r\n|\r|\n/);
  return problems.map(problem => formatProblem(problem, fileName, lines)).join('\n');
}

function formatProblem({ code, severity, message, range, override }: Problem, fileName: string, lines: readonly string[]): string {
  const { line, column } = range.start;
  const place = override === undefined ? `${fileName}:${line + 1}:${column + 1}` : `command line:${column + 1}`;
  const source = override === undefined ? lines[line] : override;
  const head = `${place} ${severity} ${code} ${message}`;
  if (source === undefined || source.trim() === '') return head;
  const from = Math.max(0, Math.min(column - MAX_EXCERPT / 2, source.length - MAX_EXCERPT));
  const shown = printable(maskTokens(source)).slice(from, from + MAX_EXCERPT);
  const end = range.end.line === line ? range.end.column : source.length;
  const width = Math.max(1, Math.min(end, from + shown.length) - column);
  const gutter = override === undefined ? String(line + 1) : '';
  const blank = ' '.repeat(gutter.length);
  return `${head}\n  ${gutter} | ${shown}\n  ${blank} | ${' '.repeat(Math.max(0, column - from))}${'^'.repeat(width)}`;
}

const printable = (text: string): string => text.replace(/\t/g, ' ').replace(/\p{Cc}/gu, '·');
