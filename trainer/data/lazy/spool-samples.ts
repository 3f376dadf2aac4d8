/** Copies the samples of files that cannot be read by position, such as Parquet, into lines of the cache, and finds them there. */
import { DataProblems } from '../data-error.ts';
import { drawStream } from '../draw.ts';
import { readRecords } from '../read/read-records.ts';
import type { DataRecord } from '../types.ts';
import type { Decision } from './decide/decider.ts';
import type { FindParams } from './find-params.ts';
import { RowBuilder } from './index-rows.ts';
import type { IndexWriter, LineIndex } from './line-index.ts';
import { recordOf } from './line-record.ts';
import { NoPlacesError } from './record-ranges.ts';

/** Number of records between two progress reports. */
const BATCH = 1000;

/** A record with the text to copy. */
interface SpooledRecord {
  readonly record: DataRecord;
  readonly element: number | undefined;
  readonly text: string;
}

/** Copies and finds the samples. @throws DataError that lists problems of records; NoPlacesError if they cannot be copied */
export async function spoolSamples(params: FindParams, writer: IndexWriter): Promise<LineIndex> {
  const { files, lines, settings, detected, totalBytes, onScan } = params;
  const { append } = writer;
  if (append === undefined) throw new NoPlacesError('the cache, into which their samples are copied, cannot be written');
  const { decider, checker } = params.deciders();
  const problems = new DataProblems();
  const { maxSamples: count, seed } = settings;
  let [bytes, seen]: [number, number | undefined] = [0, undefined];
  async function* records(): AsyncGenerator<SpooledRecord> {
    const onBytes = (done: number): void => {
      bytes = Math.min(done, totalBytes);
    };
    let done = 0;
    for await (const { file, line, element, value } of readRecords({
      files,
      textSplit: 'file',
      onProblem: problem => problems.add(problem),
      onBytes,
    })) {
      const text = jsonOf(file, value);
      const record = problems.take(() => recordOf(file, line, text, lines, undefined));
      const checked = record && count !== undefined ? problems.take(() => checker.decide(record)) : {};
      if (checked?.label !== undefined) writer.addLabels([checked.label]);
      if (record && checked) yield { record, element, text };
      if (++done % BATCH === 0) await onScan?.(bytes, totalBytes);
    }
  }
  const rows = new Rows(writer, new Map(files.map(({ file }, i) => [file, i])));
  for await (const { record, element, text } of drawStream(records(), { count, seed }, all => (seen = all))) {
    const decision = problems.take(() => decider.decide(record));
    if (decision) rows.add({ ...decision, file: record.file, line: record.line, element, place: () => append(Buffer.from(text)) });
  }
  problems.end();
  rows.flush();
  await onScan?.(totalBytes, totalBytes);
  const { read, dropped } = rows;
  return writer.end({ read, dropped, drawnFrom: seen, format: detected.format, formatReason: detected.reason });
}

/** JSON from which the same value can be restored. @throws NoPlacesError if this is impossible */
export function jsonOf(file: string, value: unknown): string {
  return JSON.stringify(value, function check(this: unknown, key: string, given: unknown) {
    // JSON.stringify converts dates to text before it calls this function.
    const original: unknown = Reflect.get(Object(this), key);
    if (original instanceof Date || ArrayBuffer.isView(original) || (typeof given === 'number' && !Number.isFinite(given)))
      throw new NoPlacesError(`${file} has dates, bytes or numbers that text cannot hold`);
    return given;
  });
}

interface Row extends Decision {
  readonly file: string;
  readonly line: number;
  readonly element: number | undefined;
  /** Copies the record. */
  readonly place: () => { readonly start: number; readonly length: number };
}

/** Rows of the index that are buffered and written together. */
class Rows {
  private readonly writer: IndexWriter;
  private readonly numbers: ReadonlyMap<string, number>;
  private file = '';
  private rows = new RowBuilder();
  read = 0;
  readonly dropped: Record<string, number> = {};

  constructor(writer: IndexWriter, numbers: ReadonlyMap<string, number>) {
    this.writer = writer;
    this.numbers = numbers;
  }

  add({ dropped, label, file, line, element, place }: Row): void {
    this.read++;
    if (dropped !== undefined) {
      this.dropped[dropped] = (this.dropped[dropped] ?? 0) + 1;
      if (label !== undefined) this.writer.addLabels([label]);
      return;
    }
    if (file !== this.file || this.rows.length === BATCH) this.flush();
    this.file = file;
    this.rows.add({ ...place(), line, element, label });
  }

  flush(): void {
    if (this.rows.length === 0) return;
    this.writer.add(this.rows.end(), this.numbers.get(this.file) ?? -1, 0);
    this.rows = new RowBuilder();
  }
}
