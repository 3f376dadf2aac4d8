/** Records of comma- and tab-separated files, with a header line or, as CoLA's, without. Every value is a string. */
import { Readable } from 'node:stream';
import type { CsvError, Info } from 'csv-parse';
import { parse } from 'csv-parse';
import { DataError } from '../data-error.ts';
import { COLA_COLUMNS, hasShortLines, isColaLine } from '../glue.ts';
import type { DataRecord } from '../types.ts';
import { MAX_LINE_CHARACTERS, readLines, readUtf8 } from './utf8-stream.ts';

/** What can be said of a file from its first line. */
interface Layout {
  /** Where no line names them. */
  readonly columns?: readonly string[];
  /** Lines with another number of fields are left out, as is known of the file. */
  readonly skipsShort?: boolean;
}

/** Tabs without quoting (the IANA definition of TSV, and what GLUE's files need). @param onSkip called for each line left out */
export async function* readTsv(file: string, onSkip: () => void = () => undefined): AsyncGenerator<DataRecord> {
  const first = await firstLine(file);
  yield* readCsv(file, '\t', isColaLine(first) ? { columns: COLA_COLUMNS } : { skipsShort: hasShortLines(first) }, onSkip);
}

async function firstLine(file: string): Promise<string> {
  for await (const { text } of readLines(file)) if (text.trim() !== '') return text;
  return '';
}

/** Commas with quoted fields (RFC 4180), or tabs without quoting. */
export async function* readCsv(
  file: string,
  delimiter: ',' | '\t',
  { columns, skipsShort = false }: Layout = {},
  onSkip: () => void = () => undefined,
): AsyncGenerator<DataRecord> {
  const parser = parse({
    delimiter,
    quote: delimiter === ',' ? '"' : null,
    bom: true,
    columns: columns ? [...columns] : (header: string[]) => checkedHeader(file, header),
    skip_records_with_error: skipsShort,
    on_skip: () => {
      onSkip();
      return undefined;
    },
    info: true,
    skip_empty_lines: true,
    max_record_size: MAX_LINE_CHARACTERS,
  });
  const source = Readable.from(readUtf8(file));
  source.on('error', cause => parser.destroy(cause));
  source.pipe(parser);
  // The parser says where a record ends, and counts a CRLF inside quotes as two lines: both are taken back.
  let countedTwice = 0;
  let lastLine = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: Record<string, string>; info: Info }>) {
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

function checkedHeader(file: string, header: readonly string[]): string[] {
  const names = header.map(name => name.trim());
  const bad = names.find((name, index) => name === '' || names.indexOf(name) !== index);
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
  const { code, message, lines } = cause as Partial<CsvError> & { lines?: number };
  const line = lines === undefined ? lastLine + 1 : lines - countedTwice;
  if (code === 'CSV_RECORD_INCONSISTENT_COLUMNS') {
    const { record, columns } = cause as { record?: unknown[]; columns?: unknown[] };
    const counts = `${record?.length ?? 'another number of'} fields, expected ${columns?.length ?? 'as many'} as in the header`;
    const mend = delimiter === ',' ? 'Quote fields that hold commas or line breaks' : 'Take tabs and line breaks out of the fields';
    return new DataError({ file, line, problem: counts, advice: `${mend}, or use JSON Lines` }, { cause });
  }
  if (code === 'CSV_QUOTE_NOT_CLOSED') {
    return new DataError(
      { file, line, problem: 'a quoted field that is never closed', advice: 'Close it; inside a field write "" for a quote' },
      { cause },
    );
  }
  return new DataError({ file, line, problem: message ?? String(cause), advice: 'Mend the line, or use JSON Lines' }, { cause });
}
