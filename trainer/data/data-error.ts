/** The error of everything that is wrong with a user's data: it names the file, the line, the key, what was expected and what to do. */

export interface DataPlace {
  readonly file: string;
  /** From 1; the row in a Parquet file. */
  readonly line?: number;
  readonly key?: string;
}

export interface DataProblem extends Partial<DataPlace> {
  /** What is wrong and what was expected instead. */
  readonly problem: string;
  /** What the user can do about it. */
  readonly advice: string;
}

/** Its message reads `file:line: key "text": problem. advice.` */
export class DataError extends Error {
  override name = 'DataError';
  readonly place: Partial<DataPlace>;
  readonly problem: string;
  readonly advice: string;

  constructor(details: DataProblem, options?: ErrorOptions) {
    super(dataMessage(details), options);
    const { file, line, key, problem, advice } = details;
    this.place = { file, line, key };
    this.problem = problem;
    this.advice = advice;
  }
}

/** None of these files has a sample. */
export function noSample(files: readonly Pick<DataPlace, 'file'>[]): DataError {
  const file = files[0]?.file;
  const others = files.length === 1 ? '' : `, nor do the ${files.length - 1} others`;
  return new DataError({ file, problem: `it holds no sample${others}`, advice: 'Check the path, and that the files are not empty' });
}

function dataMessage({ file, line, key, problem, advice }: DataProblem): string {
  const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  const what = key === undefined ? problem : `key "${key}": ${problem}`;
  return `${where}${what}. ${advice}.`;
}

/** How a value is named in a message: "a string", "a list", "nothing". */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  return { string: 'a string', number: 'a number', bigint: 'a number', boolean: 'true or false' }[typeof value as string] ?? 'an object';
}
