/**
 * The positions of the lines or objects that are samples: 20 bytes each, in a file of the cache, or in memory if the cache cannot be
 * written.
 */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checksum, fileChecksum, showChecksum } from '../../files/checksum.ts';
import { readRegularBlocks, readRegularText } from '../../files/regular-file.ts';
import { temporaryName } from '../../files/temporary-name.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { CACHE_FILES } from '../tokens/cache-files.ts';
import type { LargeData } from '../tokens/large-data.ts';
import { dataFormats } from '../types.ts';
import { HIGH_BITS, type IndexRows, placeRows, ROW, samplesIn } from './index-rows.ts';
import { openRegular, readAt } from './read-at.ts';
import { NoPlacesError } from './record-ranges.ts';
import { labelBuilder, type SampleLabels } from './sample-labels.ts';

/** The position of a sample. */
export interface LinePlace {
  /** Index of its file. */
  readonly file: number;
  /** Start in bytes; `length` is in bytes too. */
  readonly start: number;
  readonly length: number;
  /** Line number, from 1. */
  readonly line: number;
  /** Index in the list of its file. */
  readonly element?: number;
}

const count = z.number().int().nonnegative();
const summarySchema = z.object({
  samples: count,
  /** Number of records, including dropped ones. */
  read: count,
  dropped: z.record(z.string(), count),
  /** Number of records from which the read ones were drawn. */
  drawnFrom: count.optional(),
  format: z.enum(dataFormats),
  formatReason: z.string(),
});

/** Counts of what was read. */
export type LineSummary = z.infer<typeof summarySchema>;

export interface LineIndex extends LineSummary {
  /** Present if samples were copied: reads the text of a sample at a position of this index, which does not refer to its file. */
  readonly copied?: (start: number, length: number) => Buffer;
  readonly labels: SampleLabels;
  at(sample: number): LinePlace;
}

const ROW_BYTES = ROW * Uint32Array.BYTES_PER_ELEMENT;
const { lines: LINES, labels: LABELS, copies: COPIES, data: DATA } = CACHE_FILES;
/** Large, because there may be many label names. */
const MAX_DATA_BYTES = 2 ** 24;
const READ_BYTES = 2 ** 20;

const copiedSchema = z.object({ bytes: count, checksum: z.string() });
const storedSchema = summarySchema.extend({
  checksum: z.string(),
  labelNames: z.array(z.string()).default([]),
  copied: copiedSchema.optional(),
});

export interface IndexWriter {
  /**
   * Adds the samples of a segment; modifies its rows.
   * @param file index of its file
   * @param lineBefore lines of the file before the segment
   */
  add(found: IndexRows, file: number, lineBefore: number): void;
  /** Copies the text of a sample. Left out if there is no file for it. @throws NoPlacesError if it cannot be written */
  readonly append?: (text: Buffer) => { readonly start: number; readonly length: number };
  /** Adds label names of any records. */
  addLabels(names: readonly string[]): void;
  end(summary: Omit<LineSummary, 'samples'>): Promise<LineIndex>;
  /** Removes everything that was written, after a failure. */
  abandon(): void;
}

/** The complete index of an earlier run, if it exists. @param folder a folder in the cache of tokens */
export async function findIndex(folder: string, log: LargeData['log']): Promise<LineIndex | undefined> {
  const file = join(folder, DATA);
  if ((await stat(file).catch(() => undefined)) === undefined) return undefined;
  try {
    const {
      checksum: expected,
      labelNames,
      copied,
      ...summary
    } = storedSchema.parse(JSON.parse(await readRegularText(file, MAX_DATA_BYTES)));
    const lines = await fileChecksum(join(folder, LINES));
    let { value } = lines;
    const places = new Uint32Array(labelNames.length > 0 ? summary.samples : 0);
    const placeBytes = new Uint8Array(places.buffer);
    let labelBytes = 0;
    if (places.length > 0)
      for await (const block of readRegularBlocks(join(folder, LABELS), READ_BYTES)) {
        value = checksum(block, value);
        placeBytes.set(block.subarray(0, placeBytes.length - labelBytes), labelBytes);
        labelBytes += block.length;
      }
    if (copied) await checkCopies(join(folder, COPIES), copied);
    if (showChecksum(value) !== expected || lines.bytes !== summary.samples * ROW_BYTES || labelBytes !== placeBytes.length)
      throw new Error('it does not match its checksum');
    const now = new Date();
    await utimes(file, now, now).catch(() => undefined);
    return openIndex(folder, { ...summary, labels: { names: labelNames, places } }, copied !== undefined);
  } catch (error) {
    log('warning', `the places of samples in ${folder} cannot be used (${messageOf(error)}) and are found again`);
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }
}

/** @throws Error if the copies have changed since they were made */
async function checkCopies(file: string, { bytes, checksum: expected }: z.infer<typeof copiedSchema>): Promise<void> {
  const found = await fileChecksum(file);
  if (showChecksum(found.value) !== expected || found.bytes !== bytes) throw new Error('its copies of samples do not match their checksum');
}

/** Opens the index. The file stays open as long as the process, so clearing the cache does not disturb a run. */
function openIndex(folder: string, summary: LineSummary & Pick<LineIndex, 'labels'>, isCopied: boolean): LineIndex {
  const handle = openRegular(join(folder, LINES));
  const copies = isCopied ? openRegular(join(folder, COPIES)) : undefined;
  return {
    ...summary,
    ...(copies !== undefined && { copied: (start: number, length: number) => readAt(copies, start, length) }),
    at: sample => {
      const bytes = readAt(handle, sample * ROW_BYTES, ROW_BYTES);
      if (bytes.length < ROW_BYTES) throw new RangeError(`no sample ${sample} among ${summary.samples}`);
      return placeIn(new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + ROW_BYTES)));
    },
  };
}

function placeIn([low = 0, high = 0, length = 0, line = 0, element = 0]: Uint32Array): LinePlace {
  const place = { file: high >>> HIGH_BITS, start: (high & (2 ** HIGH_BITS - 1)) * 2 ** 32 + low, length, line };
  return element === 0 ? place : { ...place, element: element - 1 };
}

/** Creates an index in a folder of the cache. @throws Error if it cannot be written */
export async function fileIndex(folder: string): Promise<IndexWriter> {
  const draft = temporaryName(folder);
  await mkdir(draft, { recursive: true });
  const handle = openSync(join(draft, LINES), 'wx');
  const labels = labelBuilder();
  let [samples, value, isOpen] = [0, 0, true];
  let copies: { readonly handle: number; bytes: number; value: number } | undefined;
  const close = (): void => {
    if (isOpen) closeSync(handle);
    if (isOpen && copies) closeSync(copies.handle);
    isOpen = false;
  };
  return {
    add(found, file, lineBefore) {
      placeRows(found.rows, file, lineBefore);
      const { buffer, byteOffset, byteLength } = found.rows;
      const bytes = new Uint8Array(buffer, byteOffset, byteLength);
      writeFileSync(handle, bytes);
      value = checksum(bytes, value);
      samples += samplesIn(found);
      labels.add(found.labelNames, found.labels);
    },
    addLabels: names => labels.add(names, new Uint32Array(0)),
    append(text) {
      copies ??= { handle: openSync(join(draft, COPIES), 'wx'), bytes: 0, value: 0 };
      const start = copies.bytes;
      try {
        writeFileSync(copies.handle, text);
      } catch (error) {
        throw new NoPlacesError(`samples cannot be copied into the cache (${messageOf(error)})`, { cause: error });
      }
      copies.bytes += text.length;
      copies.value = checksum(text, copies.value);
      return { start, length: text.length };
    },
    async end(summary) {
      close();
      const { names, places } = labels.end();
      const bytes = new Uint8Array(places.buffer);
      if (names.length > 0) await writeFile(join(draft, LABELS), bytes);
      const copied = copies && { bytes: copies.bytes, checksum: showChecksum(copies.value) };
      const shown = { ...summary, samples, labelNames: names, checksum: showChecksum(checksum(bytes, value)), ...(copied && { copied }) };
      await writeFile(join(draft, DATA), JSON.stringify(shown));
      // Another process may have made the same index in the meantime.
      await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
      return openIndex(folder, { ...summary, samples, labels: { names, places } }, copied !== undefined);
    },
    abandon() {
      close();
      rmSync(draft, { recursive: true, force: true });
    },
  };
}

export function memoryIndex(): IndexWriter {
  const all: Uint32Array[] = [];
  const firsts: number[] = [];
  const labels = labelBuilder();
  let samples = 0;
  return {
    add(found, file, lineBefore) {
      firsts.push(samples);
      placeRows(found.rows, file, lineBefore);
      all.push(found.rows);
      samples += samplesIn(found);
      labels.add(found.labelNames, found.labels);
    },
    addLabels: names => labels.add(names, new Uint32Array(0)),
    end: async summary => ({
      ...summary,
      samples,
      labels: labels.end(),
      at(sample) {
        const part = firsts.findLastIndex(first => first <= sample);
        const at = ROW * (sample - (firsts[part] ?? 0));
        const row = all[part]?.subarray(at, at + ROW) ?? new Uint32Array(0);
        if (row.length < ROW) throw new RangeError(`no sample ${sample} among ${samples}`);
        return placeIn(row);
      },
    }),
    abandon: () => undefined,
  };
}
