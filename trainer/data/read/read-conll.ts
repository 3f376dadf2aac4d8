/**
 * Reads sentences of CoNLL files: on each line a word and further columns, the last of which is its tag, and an empty line between
 * sentences. Lines of `-DOCSTART-` and comments before a sentence are skipped.
 */
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { readLines } from './utf8-stream.ts';

/** Maximum number of words in a sentence. Files with longer ones lack empty lines; models read a few thousand tokens. */
const MAX_WORDS = 100_000;

const DOCUMENT_START = '-DOCSTART-';

/** A sentence that is being read. */
interface Sentence {
  readonly line: number;
  /** The columns of each word. */
  readonly rows: string[][];
}

/**
 * Yields records with the keys `tokens` and `tags` (the first and the last column), and each column under its number from 1; all are lists
 * of strings.
 * @param onProblem called for each malformed sentence, which is then skipped; without it, the first problem is thrown
 * @throws DataError (file, line)
 */
export async function* readConll(file: string, onProblem?: (problem: DataError) => void): AsyncGenerator<DataRecord> {
  let sentence: Sentence | undefined;
  let problem: DataError | undefined;
  let width: number | undefined;
  const end = (): DataRecord | undefined => {
    const [whole, wrong] = [sentence, problem];
    sentence = undefined;
    problem = undefined;
    if (wrong && !onProblem) throw wrong;
    if (wrong) onProblem?.(wrong);
    return whole && !wrong ? recordOf(file, whole) : undefined;
  };
  for await (const { line, text } of readLines(file)) {
    if (text.trim() === '') {
      const record = end();
      if (record) yield record;
      continue;
    }
    const columns = columnsOf(text);
    if (columns[0] === DOCUMENT_START || (sentence === undefined && text.startsWith('#') && columns.length !== width)) continue;
    width ??= columns.length;
    sentence ??= { line, rows: [] };
    if (columns.length < 2 || columns.length !== width) problem ??= wrongWidth(file, line, columns.length, width);
    if (sentence.rows.push(columns) > MAX_WORDS) throw tooLong(file, sentence.line);
  }
  const last = end();
  if (last) yield last;
}

/** Tabs take precedence as separators, because a word may then contain spaces. */
const columnsOf = (text: string): string[] => (text.includes('\t') ? text.split('\t').map(part => part.trim()) : text.trim().split(/\s+/));

function recordOf(file: string, { line, rows }: Sentence): DataRecord {
  const width = rows[0]?.length ?? 0;
  const column = (place: number): string[] => rows.map(row => row[place] ?? '');
  const numbered = Array.from({ length: width }, (_, place): [string, string[]] => [String(place + 1), column(place)]);
  return { file, line, value: { ...Object.fromEntries(numbered), tokens: column(0), tags: column(width - 1) } };
}

function wrongWidth(file: string, line: number, found: number, width: number): DataError {
  return new DataError({
    file,
    line,
    problem:
      found < 2
        ? 'one column, expected a word and its tag, separated by a space or a tab'
        : `${found} columns, expected ${width} as on the first line`,
    advice: 'Write a word and its tag on each line, and an empty line after each sentence',
  });
}

function tooLong(file: string, line: number): DataError {
  return new DataError({
    file,
    line,
    problem: `a sentence of more than ${MAX_WORDS} words`,
    advice: 'Put an empty line after each sentence',
  });
}
