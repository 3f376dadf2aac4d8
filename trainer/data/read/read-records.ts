/** Streams the samples of data files of every supported kind as records with their file and line. */
import { isOneOf } from '../../catalog/entries.ts';
import { taggedExtensions } from '../../protocol/data-extensions.ts';
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { holdsSeveralValues, JsonLayoutError, jsonElements, MAX_ELEMENT_CHARACTERS } from './json-elements.ts';
import type { DataFile } from './list-files.ts';
import { parseRecord, severalLines } from './parse-record.ts';
import type { ArrowReading } from './read-arrow.ts';
import { readConll } from './read-conll.ts';
import { readSeparated, readTsv } from './read-csv.ts';
import { readParquet } from './read-parquet.ts';
import type { TextSplit } from './read-text.ts';
import { readText } from './read-text.ts';
import { readLines, readUtf8 } from './utf8-stream.ts';

export interface ReadSettings {
  readonly files: readonly DataFile[];
  /** Maximum number of records to read. */
  readonly maxSamples?: number;
  /** How to split plain text into documents. */
  readonly textSplit: TextSplit;
  /** Called for each skipped line of a file that is known to have malformed lines (QQP of GLUE). */
  readonly onSkip?: () => void;
  /** Called for each malformed sample, which is then skipped; without it, the first problem is thrown. */
  readonly onProblem?: (problem: DataError) => void;
  /** Whether binary columns of Parquet and Arrow files, such as images, stay bytes; if left out, they are read as text. */
  readonly bytes?: boolean;
  /** Whether files of text and of tabs have a word and its tag on each line. */
  readonly tagged?: boolean;
  /** Receives the approximate number of bytes read from all files. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Reads records, holding at most one block, file or row group in memory. @throws DataError (file, line) at the first malformed sample */
export async function* readRecords(settings: ReadSettings): AsyncGenerator<DataRecord> {
  let left = settings.maxSamples ?? Number.POSITIVE_INFINITY;
  let before = 0;
  for (const file of settings.files) {
    if (left <= 0) return;
    const onShare = (share: number): void => settings.onBytes?.(before + Math.min(1, share) * file.bytes);
    for await (const record of readFileRecords(file, settings, { left, onShare })) {
      yield record;
      if (--left <= 0) break;
    }
    before += file.bytes;
    onShare(0);
  }
}

interface Reading {
  /** Number of records that are still wanted. */
  readonly left: number;
  /** Receives the fraction of the file that was read. */
  readonly onShare: (share: number) => void;
}

function readFileRecords(
  { file, extension, bytes }: DataFile,
  { textSplit, onSkip, onProblem, bytes: keepsBytes = false, tagged = false }: ReadSettings,
  { left: limit, onShare }: Reading,
): AsyncGenerator<DataRecord> {
  const onBytes = (done: number): void => onShare(done / Math.max(1, bytes));
  if (isOneOf(taggedExtensions, extension)) return readConll(file, onProblem);
  switch (extension) {
    case '.jsonl':
    case '.ndjson':
      return readJsonLines(file, onProblem, onBytes);
    case '.json':
      return readJson(file, onProblem, onBytes);
    case '.csv':
      return readSeparated(file, { onBytes });
    case '.tsv':
      return tagged ? readConll(file, onProblem) : readTsv(file, { onSkip, onBytes });
    case '.parquet':
      return readParquet(file, { limit, bytes: keepsBytes, onShare });
    case '.arrow':
      return readArrowRecords(file, { limit, bytes: keepsBytes, onShare });
    case '.txt':
      return tagged ? readConll(file, onProblem) : readText(file, textSplit, onBytes);
  }
}

/** Loads the reader of Arrow files only for such a file: its library is as large as all else that a command loads. */
async function* readArrowRecords(file: string, reading: ArrowReading): AsyncGenerator<DataRecord> {
  const { readArrow } = await import('./read-arrow.ts');
  yield* readArrow(file, reading);
}

type OnProblem = ReadSettings['onProblem'];

async function* readJsonLines(file: string, onProblem: OnProblem, onBytes?: (bytes: number) => void): AsyncGenerator<DataRecord> {
  let isFirst = true;
  for await (const { line, text } of readLines(file, onBytes)) {
    if (text.trim() === '') continue;
    const layout = isFirst ? severalLines(file, line, text) : undefined;
    if (layout) throw layout;
    isFirst = false;
    const value = orReported(() => parseRecord({ file, line, text }), onProblem);
    if (value) yield { file, line, value };
  }
}

/** Returns undefined if the problem was reported instead of thrown. */
function orReported<T>(parse: () => T, onProblem: OnProblem): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (onProblem === undefined || !(error instanceof DataError)) throw error;
    onProblem(error);
    return undefined;
  }
}

async function* readJson(file: string, onProblem: OnProblem, onBytes: (bytes: number) => void): AsyncGenerator<DataRecord> {
  if (await holdsSeveralValues(readUtf8(file))) return yield* readJsonLines(file, onProblem, onBytes);
  let place = 0;
  try {
    for await (const element of jsonElements(readUtf8(file, onBytes))) {
      const value = orReported(() => parseRecord({ file, line: element.line, element: place, text: element.text }), onProblem);
      if (value) yield { file, line: element.line, element: place, value };
      place++;
    }
  } catch (error) {
    throw error instanceof JsonLayoutError ? layoutError(file, error) : error;
  }
}

function layoutError(file: string, { kind, line }: JsonLayoutError): DataError {
  if (kind === 'layout')
    return new DataError({
      file,
      line,
      problem: 'expected a list of samples, or an object whose key "data" holds one',
      advice: 'Wrap the samples in [ ], or save them as JSON Lines',
    });
  return new DataError({
    file,
    line,
    problem: `a sample of more than ${MAX_ELEMENT_CHARACTERS / 2 ** 20} million characters`,
    advice: 'Check that the brackets and quotes of the sample that starts on this line are closed',
  });
}
