/** Reads plain text files as documents: a whole file, or the parts between blank lines or separator lines. */
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { readLines } from './utf8-stream.ts';

/** Maximum length of a document, which is tokenized in memory at about 10 bytes per character. */
const MAX_DOCUMENT_CHARACTERS = 64 * 2 ** 20;

/** Documents are whole files, the parts between blank lines, or the parts between lines that equal the separator. */
export type TextSplit = 'file' | 'blank_line' | { readonly separator: string };

/** Yields documents as records `{text}` with the line where each starts; empty ones are skipped. */
export async function* readText(file: string, split: TextSplit, onBytes?: (bytes: number) => void): AsyncGenerator<DataRecord> {
  const ends = lineEnds(split);
  let lines: string[] = [];
  let startLine = 1;
  let characters = 0;
  for await (const { line, text } of readLines(file, onBytes)) {
    if (ends(text)) {
      if (characters > 0) yield* documentOf(file, startLine, lines);
      lines = [];
      characters = 0;
      continue;
    }
    if (lines.length === 0) startLine = line;
    lines.push(text);
    characters += text.length + 1;
    if (characters > MAX_DOCUMENT_CHARACTERS) throw tooLong(file, startLine);
  }
  yield* documentOf(file, startLine, lines);
}

function* documentOf(file: string, line: number, lines: readonly string[]): Generator<DataRecord> {
  const text = lines.join('\n');
  if (text.trim() !== '') yield { file, line, value: { text } };
}

function lineEnds(split: TextSplit): (line: string) => boolean {
  if (split === 'file') return () => false;
  if (split === 'blank_line') return line => line.trim() === '';
  return line => line === split.separator;
}

function tooLong(file: string, line: number): DataError {
  return new DataError({
    file,
    line,
    problem: `a document of more than ${MAX_DOCUMENT_CHARACTERS / 2 ** 20} million characters`,
    advice: 'Split the text into several files or at blank lines',
  });
}
