/** Parses the text of one sample, and explains what is wrong with it. */
import { chatWithFloats } from '../../format/chat-template/float-json.ts';
import { isRecord } from '../../narrow.ts';
import { DataError, type DataPlace, describeValue, samplePlace } from '../data-error.ts';
import { MAX_NESTING } from '../types.ts';

/** The text of one sample and its place. */
export interface RecordText {
  readonly file: string;
  readonly line: number;
  /** Index in a JSON list, from 0. */
  readonly element?: number;
  readonly text: string;
}

/** The sample of a text. @throws DataError for text that is not a JSON object, or one that is nested too deeply */
export function parseRecord({ text, ...at }: RecordText): Record<string, unknown> {
  const place = samplePlace(at);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError({ ...place, ...whyMalformed(text, cause) }, { cause });
  }
  if (!isRecord(value)) throw notAnObject(value, place);
  if (isDeeper(value, MAX_NESTING))
    throw new DataError({
      ...place,
      problem: `lists and objects are nested more than ${MAX_NESTING} deep`,
      advice: 'Check the brackets of the sample that starts on this line',
    });
  return chatWithFloats(text, value);
}

/** Returns the error for the first line of a file whose samples are not written on a line each; undefined for any other line. */
export function severalLines(file: string, line: number, text: string): DataError | undefined {
  const isList = text.trimStart().startsWith('[');
  if (isJson(text) || !(isList || text.trim() === '{')) return undefined;
  return new DataError({
    file,
    line,
    problem: `${isList ? 'a list of samples' : 'a sample'} over several lines, expected one sample on each line`,
    advice: isList ? 'Let the name of the file end in .json' : 'Write each sample on one line, for example with jq -c .',
  });
}

/** The problem of a text that is not JSON. Frequent ones are named without a position, so that samples with the same one are counted. */
function whyMalformed(text: string, cause: unknown): { readonly problem: string; readonly advice: string } {
  const trimmed = text.trim();
  const named = (problem: string, advice: string): ReturnType<typeof whyMalformed> => ({ problem: `malformed JSON: ${problem}`, advice });
  if (trimmed === '') return named('the list has no sample here', 'Close the list with ], without a comma before it');
  if (trimmed.endsWith(',') && isJson(trimmed.slice(0, -1)))
    return named('a comma after the sample', 'Remove it, or write a list with [ and ] around the samples and a name that ends in .json');
  if (isJson(trimmed.replaceAll(/,(?=\s*[}\]])/g, ''))) return named('a comma before a closing bracket', 'Remove it');
  if (/^\{\s*'/.test(trimmed)) return named('quotes are single, as Python prints them', 'Write double quotes; json.dumps in Python does');
  return { problem: `malformed JSON (${reasonOf(cause)})`, advice: 'Fix the sample that starts on this line' };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function notAnObject(value: unknown, place: DataPlace): DataError {
  const first: unknown = Array.isArray(value) ? value[0] : undefined;
  const isChat = isRecord(first) && ('role' in first || 'from' in first);
  const form = isChat ? ('role' in first ? '{"messages": […]}' : '{"conversations": […]}') : '{"text": "…"}';
  const isList = isRecord(first) && !isChat;
  return new DataError({
    ...place,
    problem: `${describeValue(value)}, expected an object such as ${form}`,
    advice: isList ? 'Write one sample on each line, or let the name of the file end in .json' : 'Write each sample as an object',
  });
}

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some(inner => isDeeper(inner, most - 1));
}

/** The reason without the line number that newer versions of Node add: they count within the sample, not within its file. */
function reasonOf(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return reason.replace(/ \(line \d+ column \d+\)/, '');
}
