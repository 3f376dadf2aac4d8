/** Writes a resolved recipe as YAML from which every reader, including Python's, reads the same recipe. */
import { Document, isScalar, visit } from 'yaml';
import { exactNumber } from '../text/format.ts';
import { type GroupName, groups, type Recipe, settings } from './recipe-schema.ts';

export interface StringifyOptions {
  /** Whether to write the documentation of each setting above it as a comment. */
  readonly comments?: boolean;
}

/** The maximum width of comments: the width of an editor next to a side bar, and of our own prose. */
const COMMENT_COLUMNS = 100;

/** A recipe, or some of its settings. */
export type PartialRecipe = { readonly [K in keyof Recipe]?: K extends GroupName ? Partial<Recipe[K]> : Recipe[K] };

/** Writes every setting that has a value, in table order, with lists on one line. */
export function stringifyRecipe(recipe: PartialRecipe, { comments = false }: StringifyOptions = {}): string {
  const lines: string[] = [];
  let openGroup = '';
  for (const [path, { doc }] of Object.entries(settings)) {
    const [first = '', second] = path.split('.');
    const value = valueAt(recipe, first, second);
    if (value === undefined) continue;
    if (second !== undefined && openGroup !== first) {
      if (comments) lines.push(...commentLines(groups[first]?.doc ?? '', ''));
      lines.push(`${first}:`);
    }
    openGroup = second === undefined ? '' : first;
    const indent = second === undefined ? '' : '  ';
    if (comments) lines.push(...commentLines(doc, indent));
    lines.push(`${indent}${second ?? first}: ${inOneLine(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Breaks a sentence at spaces, so that it can be read without scrolling. */
function commentLines(doc: string, indent: string): string[] {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of doc.split(' ')) {
    if (line.length + 1 + word.length > COMMENT_COLUMNS) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function valueAt(recipe: PartialRecipe, first: string, second: string | undefined): unknown {
  const top: unknown = Object.entries(recipe).find(([name]) => name === first)?.[1];
  if (second === undefined || top === null || typeof top !== 'object') return top;
  return Object.entries(top).find(([name]) => name === second)?.[1];
}

/** Writes a value in flow style; text is double-quoted if a line break, YAML 1.1 or YAML 1.2 would change it. */
function inOneLine(value: unknown): string {
  if (typeof value === 'number') return pythonNumber(value);
  const document = new Document(value, { compat: 'yaml-1.1', version: '1.2' });
  visit(document, {
    Scalar: (_, node) => {
      if (isScalar(node) && typeof node.value === 'string' && /[\r\n]/.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
    Collection: (_, node) => {
      node.flow = true;
    },
  });
  return document
    .toString({ lineWidth: 0, flowCollectionPadding: false, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER })
    .trimEnd();
}

/** Writes a number for PyYAML, which reads 1e-7 as text and 1.0e-7 as a number. */
function pythonNumber(value: number): string {
  const shown = exactNumber(value);
  const [mantissa = shown, exponent] = shown.split('e');
  return exponent === undefined ? shown : `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${exponent}`;
}
