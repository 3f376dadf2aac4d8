/** Finds the casts in TypeScript: statements about types that nothing checks. */
import { proseOfCode } from '../../scripts/prose-pieces.mjs';

export interface Cast {
  readonly cast: string;
  /** Line number, counted from 1. */
  readonly line: number;
  /** True if its line has a comment, or if a comment ends on the line above. */
  readonly hasReason: boolean;
}

const blank = (piece: string): string => piece.replace(/[^\n]/g, ' ');

/** Blanks the text of a template; the expressions in `${…}` are code. Strings in them are already blank. */
function blankTemplate(template: string): string {
  let depth = 0;
  return template.replace(/\\[\s\S]|\$\{|[{}]|[^\n]/g, piece => {
    if (depth === 0) depth = piece === '${' ? 1 : 0;
    else if (piece === '{' || piece === '${') depth++;
    else if (piece === '}') depth--;
    else return piece;
    return blank(piece);
  });
}

/** A regular expression in a position where an operand is expected. */
const PATTERN = /(?<=(?:[=(,:;!&|?{}[+*%<>~^-]|\breturn)\s*)\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/g;

/** Names in imports and exports, and the new keys of a mapped type. */
const NAMES = /^(import|export)\b[^;{]*(\{[^}]*\}|\* as \w+)\s*from\b|\bin keyof \w+ as\b/gm;

/** Returns the casts in a file's code, except `as const`, which states nothing, and `x[i] as number`, which reads an element in bounds. */
export function castsOf(text: string): Cast[] {
  let code = text;
  for (const { offset, end } of proseOfCode(text)) {
    const piece = code.slice(offset, end);
    code = code.slice(0, offset) + (piece.startsWith('`') ? blankTemplate(piece) : blank(piece)) + code.slice(end);
  }
  const statements = code.replace(PATTERN, blank).replace(NAMES, blank);
  const lines = text.split('\n');
  return [...statements.matchAll(/(\])?\)?\s+(as (?!const\b)[\w[({]+)/g)].flatMap(({ index, 0: whole, 1: read, 2: cast = '' }) => {
    if (read !== undefined && cast === 'as number') return [];
    const line = statements.slice(0, index + whole.lastIndexOf(cast)).split('\n').length;
    const hasReason = /(^|\s)\/\/ \S/.test(lines[line - 1] ?? '') || /^\s*\/\/ \S|\*\/\s*$/.test(lines[line - 2] ?? '');
    return [{ cast, line, hasReason }];
  });
}
