/** Streams the samples of data files of every supported kind as records with their file and line. */
import { isOneOf } from '../../catalog/entries.ts';
import { isRecord } from '../../narrow.ts';
import { taggedExtensions } from '../../protocol/data-extensions.ts';
import { DataError, describeValue } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { holdsSeveralValues, JsonLayoutError, jsonElements, MAX_ELEMENT_CHARACTERS } from './json-elements.ts';
import type { DataFile } from './list-files.ts';
import { readConll } from './read-conll.ts';
import { readSeparated, readTsv } from './read-csv.ts';
import { readParquet } from './read-parquet.ts';
import type { TextSplit } from './read-text.ts';
import { readText } from './read-text.ts';
import { readLines, readUtf8 } from './utf8-stream.ts';

export interface ReadSettings {
  readonly files: readonly DataFile[];
  /** Reading stops after this many records. */
  readonly maxSamples?: number;
  /** How plain text becomes documents. */
  readonly textSplit: TextSplit;
  /** Called for each line that is left out because its file is known to have some that are malformed (QQP of GLUE). */
  readonly onSkip?: () => void;
  /** Called for each sample that is malformed, which is left out; without it the first one is thrown. */
  readonly onProblem?: (problem: DataError) => void;
  /** Bytes in Parquet files stay what they are, as those of images; left out, they are taken for text. */
  readonly bytes?: boolean;
  /** Files of text and of tabs have a word and its tag on each line. */
  readonly tagged?: boolean;
  /** Receives how many bytes of all files were read, roughly. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Throws DataError (file, line) at the first malformed sample. Nothing is held but the block, file or row group being read. */
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
  /** Records that are still wanted. */
  readonly left: number;
  /** Receives the share of the file that was read. */
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
    case '.txt':
      return tagged ? readConll(file, onProblem) : readText(file, textSplit, onBytes);
  }
}

type OnProblem = ReadSettings['onProblem'];

async function* readJsonLines(file: string, onProblem: OnProblem, onBytes?: (bytes: number) => void): AsyncGenerator<DataRecord> {
  for await (const { line, text } of readLines(file, onBytes)) {
    if (text.trim() === '') continue;
    const value = orReported(() => parseRecord(file, line, text), onProblem);
    if (value) yield { file, line, value };
  }
}

/** Undefined where the problem was reported instead of thrown. */
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
      const value = orReported(() => parseRecord(file, element.line, element.text), onProblem);
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

/** Lists and objects inside one another; the schema of a tool has some 20. Python's reader stops at about a thousand. */
const MAX_NESTING = 200;

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some(inner => isDeeper(inner, most - 1));
}

/** The sample on a line. @throws DataError for text that is no JSON object, or one that is nested too deeply to be worked on */
export function parseRecord(file: string, line: number, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(
      { file, line, problem: `malformed JSON (${reasonOf(cause)})`, advice: 'Fix the sample that starts on this line' },
      { cause },
    );
  }
  if (!isRecord(value)) {
    throw new DataError({
      file,
      line,
      problem: `${describeValue(value)}, expected an object such as {"text": "…"}`,
      advice: 'Write each sample as an object',
    });
  }
  if (isDeeper(value, MAX_NESTING))
    throw new DataError({
      file,
      line,
      problem: `lists and objects are nested more than ${MAX_NESTING} deep`,
      advice: 'Check the brackets of the sample that starts on this line',
    });
  return value;
}

/** Without the line within the sample that newer versions of Node name: the line of the sample in its file is the one that counts. */
function reasonOf(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return reason.replace(/ \(line \d+ column \d+\)/, '');
}
