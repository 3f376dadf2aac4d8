/** Samples that are read from their lines and tokenized on demand. */
import { closeSync, fstatSync, statSync } from 'node:fs';
import type { SampleSize } from '../batch/batch-plan.ts';
import { DataError } from '../data-error.ts';
import type { DataFile } from '../read/list-files.ts';
import { type Examples, type List, listOf, placeAt } from '../tokens/example-store.ts';
import type { MadeOfRecord } from '../tokens/tokenize-records.ts';
import { countTargets, type DataRecord, type Example } from '../types.ts';
import type { LineIndex } from './line-index.ts';
import { type LineSettings, recordOf } from './line-record.ts';
import { openRegular, readAt } from './read-at.ts';
import { tableIn } from './segments.ts';
import type { FoundTable } from './table-segments.ts';

/** Number of tokens to keep from the most recent samples: a batch needs the sizes of its samples first, then their tokens. */
const KEPT_TOKENS = 2 ** 19;

interface ReadRecord {
  readonly record: DataRecord;
  /** The name of the record's file. */
  readonly name: string;
  readonly line: number;
  readonly element?: number | undefined;
}

/** Returns a function that reads the record of a sample. @throws DataError from that function, for a file that has changed */
export function recordReader({ index, files, open, lines }: Omit<LazyParams, 'tokenize' | 'largestId'>): (sample: number) => ReadRecord {
  const { copied } = index;
  return sample => {
    const { file, start, length, line, element } = index.at(sample);
    const name = files[file]?.file ?? '';
    const text = (copied ? copied(start, length) : open.read(file, start, length)).toString('utf8');
    return { record: recordOf(name, line, text, lines, copied ? undefined : open.tables[file]), name, line, element };
  };
}

/** Makes samples by index, and caches the most recent ones. */
export function keepLast<Sample extends { readonly ids: Int32Array }>(make: (sample: number) => Sample): (sample: number) => Sample {
  const kept = new Map<number, Sample>();
  let tokens = 0;
  return sample => {
    const known = kept.get(sample);
    if (known) return known;
    const made = make(sample);
    kept.set(sample, made);
    tokens += made.ids.length;
    for (const [oldest, { ids }] of kept) {
      if (tokens <= KEPT_TOKENS || oldest === sample) break;
      kept.delete(oldest);
      tokens -= ids.length;
    }
    return made;
  };
}

/** Open data files, each as it was when it was opened. */
export interface OpenFiles {
  /** The table in each file, or undefined. */
  readonly tables: ReadonlyArray<FoundTable | undefined>;
  /** Reads bytes of a file. @throws DataError if the file has changed */
  read(file: number, start: number, length: number): Buffer;
  /** @throws DataError if a file has changed, or its name now refers to another file */
  check(): void;
  close(): void;
}

/**
 * Opens data files and keeps them open, so that replacing a file under its name does not change what is read.
 * @throws NoPlacesError for a table that is read whole
 */
export function openFiles(files: readonly DataFile[]): OpenFiles {
  const tables = files.map(tableIn);
  const opened = files.map(({ file }) => {
    const handle = openRegular(file);
    return { file, handle, stats: fstatSync(handle) };
  });
  const isSame = (one: { size: number; mtimeMs: number }, other: { size: number; mtimeMs: number }): boolean =>
    one.size === other.size && one.mtimeMs === other.mtimeMs;
  return {
    tables,
    read(file, start, length) {
      const found = opened[file];
      if (found === undefined) throw new RangeError(`no file ${file} among ${opened.length}`);
      if (!isSame(found.stats, fstatSync(found.handle))) throw changed(found.file);
      return readAt(found.handle, start, length);
    },
    check() {
      for (const { file, stats } of opened) {
        const now = statSync(file, { throwIfNoEntry: false });
        if (now?.ino !== stats.ino || !isSame(stats, now)) throw changed(file);
      }
    },
    close() {
      for (const { handle } of opened) closeSync(handle);
    },
  };
}

const changed = (file: string): DataError =>
  new DataError({
    file,
    problem: 'the file was changed while training reads from it',
    advice: 'Restore it and continue with rowtune resume, or start a new run',
  });

export interface LazyParams {
  readonly index: LineIndex;
  readonly files: readonly DataFile[];
  readonly open: OpenFiles;
  readonly lines: LineSettings;
  readonly tokenize: (record: DataRecord) => MadeOfRecord;
  /** The largest id that the tokenizer can produce. */
  readonly largestId: number;
}

/** Creates the samples. @throws DataError from reading a sample that cannot be tokenized, or whose file has changed */
export function lazyExamples(params: LazyParams): Examples {
  const { index, files, open, lines, tokenize, largestId } = params;
  const recordAt = recordReader({ index, files, open, lines });
  const { names, places } = index.labels;
  const labelAt = (sample: number): string | undefined => names[places[sample] ?? -1];
  const make = (sample: number): Example => {
    const { record, name, line, element } = recordAt(sample);
    const [sequence] = tokenize(record).sequences;
    if (sequence === undefined) throw nothingTrained(name, line);
    const label = labelAt(sample);
    return { ...sequence, file: name, line, ...(element !== undefined && { element }), ...(label !== undefined && { label }) };
  };
  const exampleAt = keepLast(make);
  const part = (length: number, placeOf: (index: number) => number): Examples => {
    const own = <T>(read: (place: number) => T): List<T> => listOf(length, index => read(placeOf(index)));
    return {
      ...own(exampleAt),
      sizes: own((place): SampleSize => {
        const example = exampleAt(place);
        return { length: example.ids.length, targets: countTargets(example) };
      }),
      largestId,
      inMemory: false,
      label: index => (index >= 0 && index < length ? labelAt(placeOf(index)) : undefined),
      document: index => placeOf(index),
      select: indices => {
        const places = Int32Array.from(indices, index => placeOf(index));
        return part(places.length, index => placeAt(places, index));
      },
    };
  };
  return part(index.samples, place => place);
}

const nothingTrained = (file: string, line: number): DataError =>
  new DataError({
    file,
    line,
    problem: "the model's chat template leaves nothing to train of this sample, which its texts did not show",
    advice: 'Remove this sample from the data and start a new run',
  });
