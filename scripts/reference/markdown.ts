/** Builds Markdown: prose that wraps at 100 columns, lists, tables. Pure. */

const COLUMNS = 100;

/** Wraps words at 100 columns; a code span is never broken. */
export function paragraph(
  text: string,
  { indent = '', first = indent }: { readonly indent?: string; readonly first?: string } = {},
): string {
  const words = text.match(/(?:`[^`]*`|\S)+/g) ?? [];
  const lines: string[] = [];
  let line = first;
  for (const word of words) {
    const isStart = line === first || line === indent;
    if (!isStart && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = indent + word;
    } else line += (isStart ? '' : ' ') + word;
  }
  return [...lines, line].join('\n');
}

export const item = (text: string): string => paragraph(text, { first: '- ', indent: '  ' });

export const list = (items: readonly string[]): string => items.map(item).join('\n');

export const code = (text: string): string => `\`${text}\``;

export const codes = (texts: readonly string[]): string => texts.map(code).join(', ');

/** Escapes vertical bars, which would end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|');

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** "A sentence." from "a sentence". */
export const sentence = (text: string): string => {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
};

/** Joins the parts of a page and adds a note that it is generated. */
export const page = (title: string, source: string, parts: readonly string[]): string =>
  `${[`# ${title}`, `<!-- Written by npm run reference from ${source}. Do not edit. -->`, ...parts].join('\n\n')}\n`;
