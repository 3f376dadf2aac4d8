/** The error for everything that is wrong with a user's data. It names the file, line and key, what was expected and how to fix it. */

import { listedKeys } from '../protocol/text/listed-keys.ts';
import { sampleLine } from '../protocol/text/sample-line.ts';

export interface DataPlace {
  readonly file: string;
  /** The line, from 1; the row in a Parquet file. */
  readonly line?: number;
  /** Number in a JSON list, from 1, if the line holds several samples. */
  readonly sample?: number | undefined;
  readonly key?: string;
}

/** The place of a sample, of which `element` is the index in a JSON list. */
export function samplePlace({ file, line, element }: Readonly<{ file: string; line: number; element?: number | undefined }>): {
  readonly file: string;
  readonly line: number;
  readonly sample?: number;
} {
  // Earlier samples of the list share a line if there are more of them than earlier lines.
  return element !== undefined && element >= line ? { file, line, sample: element + 1 } : { file, line };
}

export interface DataProblem extends Partial<DataPlace> {
  /** The problem, and what was expected instead. */
  readonly problem: string;
  /** How the user can fix it. */
  readonly advice: string;
  /** Errors of other samples that cannot be used, in the order of the files. */
  readonly others?: readonly DataError[];
  /** True if reading ended before all problems were found. */
  readonly isTruncated?: boolean;
}

/** An error with the message `file:line: key "text": problem. advice.` */
export class DataError extends Error {
  override name = 'DataError';
  readonly place: Partial<DataPlace>;
  readonly problem: string;
  readonly advice: string;

  constructor(details: DataProblem, options?: ErrorOptions) {
    super(dataMessage(details), options);
    const { file, line, sample, key, problem, advice } = details;
    this.place = { file, line, sample, key };
    this.problem = problem;
    this.advice = advice;
  }
}

/** The maximum number of problems in one error; even a file that is wrong throughout needs no more to show it. */
const MAX_PROBLEMS = 20;

/** Collects the problems of a data set's samples into one error, up to a bound, so that the user can fix a file in one pass. */
export class DataProblems {
  private readonly found: DataError[] = [];

  /**
   * Returns the result of `work`, or undefined if the sample cannot be used.
   * @throws DataError if the problem does not belong to a single sample, or there are too many
   */
  take<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof DataError) || error.place.line === undefined) throw error;
      this.add(error);
      return undefined;
    }
  }

  add(error: DataError): void {
    // Data whose labels must all be known first is read twice.
    if (this.found.some(({ message }) => message === error.message)) return;
    this.found.push(error);
    if (this.found.length >= MAX_PROBLEMS) this.end(true);
  }

  /** @throws DataError that lists every problem found */
  end(isTruncated = false): void {
    // Malformed lines are found while reading, problems within a sample once all labels are known.
    const files = [...new Set(this.found.map(({ place }) => place.file))];
    const inOrder = [...this.found].sort(
      ({ place: a }, { place: b }) =>
        files.indexOf(a.file) - files.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0) || (a.sample ?? 0) - (b.sample ?? 0),
    );
    const [first, ...others] = inOrder;
    if (first === undefined) return;
    const { place, problem, advice } = first;
    throw others.length === 0 ? first : new DataError({ ...place, problem, advice, others, isTruncated });
  }
}

/** The error for files that have no sample. */
export function noSample(files: readonly Pick<DataPlace, 'file'>[]): DataError {
  const file = files[0]?.file;
  const others = files.length === 1 ? '' : `, nor do the ${files.length - 1} others`;
  return new DataError({ file, problem: `it holds no sample${others}`, advice: 'Check the path, and that the files are not empty' });
}

/** Lists a problem that several samples of a file share once, with their lines. */
function dataMessage({ others = [], isTruncated = false, ...first }: DataProblem): string {
  const alike = new Map<string, DataProblem[]>();
  for (const found of [first, ...others.map(({ place, problem, advice }) => ({ ...place, problem, advice }))]) {
    const same = JSON.stringify([found.file, found.key, found.problem, found.advice]);
    alike.set(same, [...(alike.get(same) ?? []), found]);
  }
  const messages = [...alike.values()].map(([one, ...more]) => (one === undefined ? '' : `${oneMessage(one)}${linesAlike(more)}`));
  return [...messages, ...(isTruncated ? ['There may be more.'] : [])].join('\n');
}

/** Returns " Lines 3, 7–9 have the same problem.", the same with samples, or an empty text for no places. */
export function linesAlike(places: readonly Pick<DataPlace, 'line' | 'sample'>[]): string {
  const unit = places.some(({ sample }) => sample !== undefined) ? 'sample' : 'line';
  const numbers = places.flatMap(({ line, sample }) => (unit === 'sample' ? (sample ?? []) : (line ?? [])));
  const ranges: [first: number, last: number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  if (ranges.length === 0) return '';
  const shown = ranges.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
  const name = unit === 'sample' ? 'Sample' : 'Line';
  return numbers.length === 1 ? ` ${name} ${shown} has the same problem.` : ` ${name}s ${shown} have the same problem.`;
}

function oneMessage({ file, line, sample, key, problem, advice }: DataProblem): string {
  const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${sampleLine({ line, sample })}`}: `;
  const what = key === undefined ? problem : `key "${key}": ${problem}`;
  return `${where}${what}. ${advice}.`;
}

const KINDS: Readonly<Record<string, string>> = { string: 'a string', number: 'a number', bigint: 'a number', boolean: 'true or false' };

/** The type of a value for a message: "a string", "a list", "nothing". */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  return KINDS[typeof value] ?? 'an object';
}

/** The keys of a sample for a message. */
export const describeKeys = (value: object): string => listedKeys(Object.keys(value));
