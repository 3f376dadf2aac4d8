/** Reads tables with commas, semicolons or tabs between fields, with a header line or, like CoLA's, without. Every value is a string. */

import { Readable } from 'node:stream';
import type { Info } from 'csv-parse';
import { parse } from 'csv-parse';
import { parse as parseText } from 'csv-parse/sync';
import { isRecord } from '../../narrow.ts';
import { codeOf, messageOf } from '../../protocol/error-facts.ts';
import { DataError } from '../data-error.ts';
import { COLA_COLUMNS, hasShortLines, isColaLine } from '../glue.ts';
import type { DataRecord } from '../types.ts';
import { MAX_LINE_CHARACTERS, readLines, readUtf8 } from './utf8-stream.ts';

/** Maximum number of columns: more than any table has. */
const MAX_COLUMNS = 100_000;
/**
 * Maximum number of delimiters in a line. The parser counts the characters of a record, but not its empty fields. Text has a comma about
 * every fifty characters.
 */
const MAX_DELIMITERS_IN_LINE = 4_000_000;

/** Properties of a file that its first line shows. */
interface Layout {
  /** The columns, if no line names them. */
  readonly columns?: readonly string[];
  /** Whether to skip lines with another number of fields, which the file is known to have. */
  readonly skipsShort?: boolean;
}

/** Callbacks while a table is read. */
interface Listeners {
  /** Called for each skipped line. */
  readonly onSkip?: (() => void) | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** The character between two fields. Spreadsheets write semicolons if the comma is the decimal separator. */
export type Delimiter = ',' | ';' | '\t';

/** The delimiter of a .csv file with this header: the semicolon if there is one outside quotes, and no comma. */
export function delimiterOf(header: string): Delimiter {
  const bare = header.replaceAll(/"[^"]*"/g, '');
  return bare.includes(';') && !bare.includes(',') ? ';' : ',';
}

/** Reads a file with commas or semicolons and quoted fields (RFC 4180). */
export async function* readSeparated(file: string, listeners: Listeners = {}): AsyncGenerator<DataRecord> {
  yield* readCsv(file, delimiterOf(await firstLine(file)), listeners);
}

/** Reads a file with tabs and no quoting (the IANA definition of TSV, which GLUE's files need). */
export async function* readTsv(file: string, listeners: Listeners = {}): AsyncGenerator<DataRecord> {
  const first = await firstLine(file);
  yield* readCsv(file, '\t', listeners, isColaLine(first) ? { columns: COLA_COLUMNS } : { skipsShort: hasShortLines(first) });
}

/** The first line; empty if it cannot be read, which reading the records reports later. */
async function firstLine(file: string): Promise<string> {
  try {
    for await (const { text } of readLines(file)) if (text.trim() !== '') return text;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  return '';
}

/** A table whose columns are known. */
export interface CsvTable {
  readonly delimiter: Delimiter;
  readonly columns: readonly string[];
}

/** The columns of a header line; undefined if they cannot be parsed. */
export function headerOf(line: string, delimiter: Delimiter): readonly string[] | undefined {
  try {
    const [fields = []] = parseText(line, { delimiter, quote: quoteOf(delimiter) });
    return checkedHeader('', fields);
  } catch {
    return undefined;
  }
}

const quoteOf = (delimiter: Delimiter): '"' | null => (delimiter === '\t' ? null : '"');

/**
 * Parses one record of a table, as `readCsv` does.
 * @param line the line of its first character
 * @throws DataError if its fields do not match
 */
export function parseRow(file: string, line: number, text: string, { delimiter, columns }: CsvTable): Record<string, string> {
  const fields = delimiter === '\t' || !text.includes('"') ? text.split(delimiter) : quotedFields(text, delimiter);
  if (fields?.length === columns.length) return Object.fromEntries(columns.map((name, i) => [name, fields[i] ?? '']));
  try {
    const options = {
      delimiter,
      quote: quoteOf(delimiter),
      columns: [...columns],
      record_delimiter: '\0',
      max_record_size: MAX_LINE_CHARACTERS,
    };
    const [record] = parseText<Record<string, string>>(text, options);
    return record ?? {};
  } catch (error) {
    throw csvError({ file, delimiter, line }, error);
  }
}

/** The fields of a record with quotes; undefined if a quote is anywhere but around a field. */
function quotedFields(text: string, delimiter: Delimiter): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; ; at++) {
    let field = '';
    if (text[at] === '"') {
      let [from, end] = [at + 1, text.indexOf('"', at + 1)];
      for (; end >= 0 && text[end + 1] === '"'; end = text.indexOf('"', from)) {
        field += text.slice(from, end + 1);
        from = end + 2;
      }
      if (end < 0) return undefined;
      field += text.slice(from, end);
      at = end + 1;
    } else {
      const end = text.indexOf(delimiter, at);
      field = text.slice(at, end < 0 ? text.length : end);
      if (field.includes('"')) return undefined;
      at += field.length;
    }
    fields.push(field);
    if (at >= text.length) return fields;
    if (text[at] !== delimiter) return undefined;
  }
}

/** Reads commas or semicolons with quoted fields, or tabs without quoting. */
async function* readCsv(
  file: string,
  delimiter: Delimiter,
  { onSkip, onBytes }: Listeners = {},
  { columns, skipsShort = false }: Layout = {},
): AsyncGenerator<DataRecord> {
  /** The line where the last record ended, including records that were not yet read from the parser when it failed. */
  let endedAt = 1;
  const parser = parse({
    delimiter,
    quote: quoteOf(delimiter),
    bom: true,
    on_record: (record, { lines }) => {
      endedAt = lines;
      return record;
    },
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
  // The parser reports the line where a record ends, and counts a CRLF inside quotes as two lines; this corrects both.
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
    if (error instanceof DataError) throw error;
    // The parser looks for the end of an open quote up to the end of the file.
    const { lines } = codeOf(error) === QUOTE_NOT_CLOSED ? { lines: endedAt + 1 } : isRecord(error) ? error : {};
    throw csvError({ file, delimiter, line: typeof lines === 'number' ? lines - countedTwice : lastLine + 1 }, error);
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
  if (/^sep=/i.test(names[0] ?? '') && names.slice(1).every(name => name === ''))
    throw new DataError({
      file,
      line: 1,
      problem: 'a line "sep=…" before the header, which only Excel reads',
      advice: 'Remove it: commas and semicolons are found without it',
    });
  const seen = new Set<string>();
  const bad = names.find(name => name === '' || seen.size === seen.add(name).size);
  if (bad === undefined) return names;
  const problem = bad === '' ? 'a column without a name in the header' : `the column "${bad}" appears twice in the header`;
  throw new DataError({ file, line: 1, problem, advice: 'Give each column its own name in the first line' });
}

export const recordTooLarge = {
  problem: `a sample of more than ${MAX_LINE_CHARACTERS / 2 ** 20} million characters`,
  advice: 'Close its quotes, or save the data as Parquet',
} as const;

interface CsvPlace {
  readonly file: string;
  readonly delimiter: Delimiter;
  readonly line: number;
}

const QUOTE_NOT_CLOSED = 'CSV_QUOTE_NOT_CLOSED';

/** Advice for a record with a different number of fields from the header. */
const UNEVEN_ADVICE: Readonly<Record<Delimiter, string>> = {
  ',': 'Quote fields that hold commas or line breaks',
  ';': 'Quote fields that hold semicolons or line breaks',
  '\t': 'Take tabs and line breaks out of the fields',
};

function csvError({ file, delimiter, line }: CsvPlace, cause: unknown): DataError {
  const code = codeOf(cause);
  const { record, columns } = isRecord(cause) ? cause : {};
  if (code === 'CSV_RECORD_INCONSISTENT_COLUMNS') {
    const counted = (list: unknown, otherwise: string): string => (Array.isArray(list) ? String(list.length) : otherwise);
    const counts = `${counted(record, 'another number of')} fields, expected ${counted(columns, 'as many')} as in the header`;
    return new DataError({ file, line, problem: counts, advice: `${UNEVEN_ADVICE[delimiter]}, or use JSON Lines` }, { cause });
  }
  if (code === 'CSV_MAX_RECORD_SIZE') {
    return new DataError({ ...recordTooLarge, file, line }, { cause });
  }
  if (code === QUOTE_NOT_CLOSED) {
    return new DataError(
      { file, line, problem: 'a quoted field that is never closed', advice: 'Close it; inside a field write "" for a quote' },
      { cause },
    );
  }
  return new DataError({ file, line, problem: messageOf(cause), advice: 'Fix the line, or use JSON Lines' }, { cause });
}
