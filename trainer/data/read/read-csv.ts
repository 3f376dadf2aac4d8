/** Records of comma- and tab-separated files, with a header line or, as CoLA's, without. Every value is a string. */

import { Readable } from 'node:stream';
import type { Info } from 'csv-parse';
import { parse } from 'csv-parse';
import { isRecord } from '../../narrow.ts';
import { codeOf, messageOf } from '../../protocol/error-facts.ts';
import { DataError } from '../data-error.ts';
import { COLA_COLUMNS, hasShortLines, isColaLine } from '../glue.ts';
import type { DataRecord } from '../types.ts';
import { MAX_LINE_CHARACTERS, readLines, readUtf8 } from './utf8-stream.ts';

/** More than any table has. */
const MAX_COLUMNS = 100_000;
/** The parser counts the characters of a record, and none of a field that is empty. A line of text has a comma in some fifty characters. */
const MAX_DELIMITERS_IN_LINE = 4_000_000;

/** The facts that the first line shows about a file. */
interface Layout {
  /** The columns, if no line names them. */
  readonly columns?: readonly string[];
  /** Lines with another number of fields are left out, as is known of the file. */
  readonly skipsShort?: boolean;
}

/** Callbacks while a table is read. */
interface Listeners {
  /** For each line left out. */
  readonly onSkip?: (() => void) | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** Tabs without quoting (the IANA definition of TSV, and what GLUE's files need). */
export async function* readTsv(file: string, listeners: Listeners = {}): AsyncGenerator<DataRecord> {
  const first = await firstLine(file);
  yield* readCsv(file, '\t', listeners, isColaLine(first) ? { columns: COLA_COLUMNS } : { skipsShort: hasShortLines(first) });
}

async function firstLine(file: string): Promise<string> {
  for await (const { text } of readLines(file)) if (text.trim() !== '') return text;
  return '';
}

/** Commas with quoted fields (RFC 4180), or tabs without quoting. */
export async function* readCsv(
  file: string,
  delimiter: ',' | '\t',
  { onSkip, onBytes }: Listeners = {},
  { columns, skipsShort = false }: Layout = {},
): AsyncGenerator<DataRecord> {
  const parser = parse({
    delimiter,
    quote: delimiter === ',' ? '"' : null,
    bom: true,
    columns: columns ? [...columns] : (header: string[]) => checkedHeader(file, header),
    skip_records_with_error: skipsShort,
    on_skip: () => {
      onSkip?.();
      return undefined;
    },
    info: true,
    skip_empty_lines: true,
    max_record_size: MAX_LINE_CHARACTERS,
  });
  const source = Readable.from(withoutEndlessLines(file, delimiter, onBytes));
  source.on('error', cause => parser.destroy(cause));
  source.pipe(parser);
  // The parser says where a record ends, and counts a CRLF inside quotes as two lines: both are taken back.
  let countedTwice = 0;
  let lastLine = 1;
  try {
    const records: AsyncIterable<{ record: Record<string, string>; info: Info }> = parser;
    for await (const { record, info } of records) {
      const text = Object.values(record).join('');
      const breaks = text.match(/[\r\n]/g)?.length ?? 0;
      const line = info.lines - breaks - countedTwice;
      countedTwice += text.match(/\r\n/g)?.length ?? 0;
      lastLine = info.lines - countedTwice;
      yield { file, line, value: record };
    }
  } catch (error) {
    throw error instanceof DataError ? error : csvError({ file, delimiter, lastLine, countedTwice }, error);
  } finally {
    source.destroy();
    parser.destroy();
  }
}

/** The text of a file in blocks. @throws DataError for a line with more fields than any record has, even inside quotes */
async function* withoutEndlessLines(file: string, delimiter: string, onBytes: Listeners['onBytes']): AsyncGenerator<string> {
  const separator = delimiter.charCodeAt(0);
  let line = 1;
  let delimiters = 0;
  for await (const block of readUtf8(file, onBytes)) {
    for (let at = 0; at < block.length; at++) {
      const code = block.charCodeAt(at);
      if (code === separator) delimiters++;
      else if (code === NEWLINE) {
        line++;
        delimiters = 0;
      }
    }
    if (delimiters > MAX_DELIMITERS_IN_LINE)
      throw new DataError({
        file,
        line,
        problem: `a line of more than ${MAX_DELIMITERS_IN_LINE} fields`,
        advice: 'Check that it is a table of samples, one in each line',
      });
    yield block;
  }
}

const NEWLINE = 10;

function checkedHeader(file: string, header: readonly string[]): string[] {
  if (header.length > MAX_COLUMNS)
    throw new DataError({
      file,
      line: 1,
      problem: `${header.length} columns in the header; at most ${MAX_COLUMNS} are read`,
      advice: 'Keep the columns that the recipe names',
    });
  const names = header.map(name => name.trim());
  const seen = new Set<string>();
  const bad = names.find(name => name === '' || seen.size === seen.add(name).size);
  if (bad === undefined) return names;
  const problem = bad === '' ? 'a column without a name in the header' : `the column "${bad}" appears twice in the header`;
  throw new DataError({ file, line: 1, problem, advice: 'Give each column its own name in the first line' });
}

interface CsvPlace {
  readonly file: string;
  readonly delimiter: ',' | '\t';
  readonly lastLine: number;
  readonly countedTwice: number;
}

function csvError({ file, delimiter, lastLine, countedTwice }: CsvPlace, cause: unknown): DataError {
  const code = codeOf(cause);
  const { lines, record, columns } = isRecord(cause) ? cause : {};
  const line = typeof lines === 'number' ? lines - countedTwice : lastLine + 1;
  if (code === 'CSV_RECORD_INCONSISTENT_COLUMNS') {
    const counted = (list: unknown, otherwise: string): string => (Array.isArray(list) ? String(list.length) : otherwise);
    const counts = `${counted(record, 'another number of')} fields, expected ${counted(columns, 'as many')} as in the header`;
    const mend = delimiter === ',' ? 'Quote fields that hold commas or line breaks' : 'Take tabs and line breaks out of the fields';
    return new DataError({ file, line, problem: counts, advice: `${mend}, or use JSON Lines` }, { cause });
  }
  if (code === 'CSV_MAX_RECORD_SIZE') {
    const problem = `a sample of more than ${MAX_LINE_CHARACTERS / 2 ** 20} million characters`;
    return new DataError({ file, line, problem, advice: 'Close its quotes, or save the data as Parquet' }, { cause });
  }
  if (code === 'CSV_QUOTE_NOT_CLOSED') {
    return new DataError(
      { file, line, problem: 'a quoted field that is never closed', advice: 'Close it; inside a field write "" for a quote' },
      { cause },
    );
  }
  return new DataError({ file, line, problem: messageOf(cause), advice: 'Fix the line, or use JSON Lines' }, { cause });
}
