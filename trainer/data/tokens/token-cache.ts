/** Caches tokens of large data on disk, by a fingerprint of the data, the tokenizer and everything else that determines them. */
import { rmSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checksum, fileChecksum, showChecksum } from '../../files/checksum.ts';
import { removeHalfWritten } from '../../files/durable-file.ts';
import { readRegularFile, readRegularText } from '../../files/regular-file.ts';
import { temporaryName } from '../../files/temporary-name.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { DataError } from '../data-error.ts';
import { CACHE_FILES } from './cache-files.ts';
import type { DatasetTarget, MadeDataset, OpenedDataset } from './dataset-target.ts';
import { createExamples, type ExampleColumns } from './example-store.ts';
import type { LargeData } from './large-data.ts';
import { fileSink, fileTokens } from './packed-tokens.ts';
import { parseStored, type Stored } from './stored-dataset.ts';

/** The files in the order in which they are written: tokens, properties of samples, then the rest. */
const { tokens: TOKENS, columns: COLUMNS, data: DATA, lines: LINES, copies: COPIES } = CACHE_FILES;
/** Maximum size of the JSON with file names, label names and the report. */
const MAX_DATA_BYTES = 256 * 2 ** 20;
/** Maximum size of the columns: 28 bytes for each of 76 million samples. */
const MAX_COLUMNS_BYTES = 2 ** 31 - 1;
/** Maximum total size of the cache; above it, the least recently used data sets are removed. */
const MAX_CACHE_BYTES = 50e9;
/** The folder name of a data set, or of the positions of its samples; earlier versions had positions only of lines. */
const KEY = /^[0-9a-f]{40}(\.(?:places|lines))?$/;
/** Number of bytes to leave free on the disk. */
const SPARE_BYTES = 1e9;

const COLUMN_ORDER = ['starts', 'targets', 'files', 'lines', 'documents', 'elements', 'labels'] as const;

export interface TokenCache {
  /** Finds the data set if an earlier run has completed it. */
  find(): Promise<OpenedDataset | undefined>;
  /** Starts writing a data set; undefined if the disk has no room, which is logged. */
  begin(): Promise<DatasetTarget | undefined>;
}

/** Opens the cache; undefined if it cannot be written. @param key of the data set @param bytes size of all files */
export async function openTokenCache(large: LargeData, key: string, bytes: number): Promise<TokenCache | undefined> {
  const warn = (error: unknown): void =>
    large.log('warning', `tokens are not cached (${messageOf(error)}): they take memory, and the next start makes them again`);
  try {
    await mkdir(large.cacheDir, { recursive: true });
  } catch (error) {
    warn(error);
    return undefined;
  }
  await removeHalfWritten(large.cacheDir, name => KEY.test(name));
  const folder = join(large.cacheDir, key);
  return {
    find: async () => {
      const found = await openFolder(folder, large);
      if (found) large.log('info', `${found.examples.length} tokenized samples come from the cache ${folder}`);
      return found;
    },
    begin: async () => {
      try {
        // Estimated at four bytes for every four characters, doubled for safety.
        await makeRoom(large.cacheDir, 2 * bytes);
        return beginFolder(folder, large);
      } catch (error) {
        warn(error);
        return undefined;
      }
    },
  };
}

/** @throws Error if the disk has no room */
async function makeRoom(cacheDir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(cacheDir);
  if (bavail * bsize < bytes + SPARE_BYTES) throw new Error(`the disk of ${cacheDir} has ${Math.round((bavail * bsize) / 1e6)} MB free`);
  const found: { readonly folder: string; readonly usedMs: number; readonly bytes: number }[] = [];
  for (const name of await readdir(cacheDir)) {
    const folder = join(cacheDir, name);
    const [data, ...large] = await Promise.all([DATA, TOKENS, LINES, COPIES].map(file => stat(join(folder, file)).catch(() => undefined)));
    const size = large.reduce((sum, each) => sum + (each?.size ?? 0), 0);
    if (data && size > 0) found.push({ folder, usedMs: data.mtimeMs, bytes: size });
  }
  let kept = bytes;
  for (const { folder, bytes: size } of found.sort((a, b) => b.usedMs - a.usedMs)) {
    kept += size;
    // A run that has the file open can still read it, except on Windows, where removing fails and the next start tries again.
    if (kept > MAX_CACHE_BYTES) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function openFolder(folder: string, large: LargeData): Promise<OpenedDataset | undefined> {
  const file = join(folder, DATA);
  if ((await stat(file).catch(() => undefined)) === undefined) return undefined;
  try {
    const stored = parseStored(await readRegularText(file, MAX_DATA_BYTES));
    const bytes = await readRegularFile(join(folder, COLUMNS), MAX_COLUMNS_BYTES);
    const tokensFile = join(folder, TOKENS);
    if (
      showChecksum(checksum(bytes)) !== stored.columnsChecksum ||
      showChecksum((await fileChecksum(tokensFile)).value) !== stored.tokensChecksum
    )
      throw new Error('it does not match its checksums');
    const columns = readColumns(bytes, stored);
    const { tokens, ahead } = fileTokens(tokensFile, columns.starts[stored.samples] as number);
    const now = new Date();
    await utimes(file, now, now).catch(() => undefined);
    return { examples: createExamples(columns, tokens, ahead), labels: stored.labels, report: stored.report };
  } catch (error) {
    large.log('warning', `cached tokens in ${folder} cannot be used (${messageOf(error)}) and are made again`);
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }
}

function readColumns(bytes: Buffer, { columns, samples }: Stored): ExampleColumns {
  let at = 0;
  const next = (length: number): Uint8Array => {
    const part = Uint8Array.from(bytes.subarray(at, at + 4 * length));
    if (part.length < 4 * length) throw new Error(`its ${COLUMNS} is cut short`);
    at += 4 * length;
    return part;
  };
  const whole = (length: number) => new Uint32Array(next(length).buffer);
  const signed = () => new Int32Array(next(samples).buffer);
  // These calls must follow the order of COLUMN_ORDER.
  const starts = whole(samples + 1);
  const [targets, files, lines, documents] = [whole(samples), whole(samples), whole(samples), whole(samples)];
  const [elements, labels] = [signed(), signed()];
  return { ...columns, starts, targets, files, lines, documents, elements, labels };
}

function beginFolder(folder: string, large: LargeData): DatasetTarget {
  const draft = temporaryName(folder);
  let value = 0;
  let sink: ReturnType<typeof fileSink> | undefined;
  return {
    add(tokens) {
      sink ??= fileSink(draft, TOKENS);
      sink.add(tokens);
      value = checksum(bytesOf(tokens), value);
    },
    async end(made) {
      sink?.close();
      sink = undefined;
      await writeRest(draft, made, showChecksum(value));
      // Another run may have made the same folder in the meantime.
      await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
      const opened = await openFolder(folder, large);
      if (!opened) throw new Error(`the tokens that were written to ${folder} cannot be read again: check the disk`);
      return opened;
    },
    abandon() {
      sink?.close();
      rmSync(draft, { recursive: true, force: true });
    },
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

async function writeRest(draft: string, { columns, labels, report }: MadeDataset, tokensChecksum: string): Promise<void> {
  const bytes = Buffer.concat(COLUMN_ORDER.map(name => bytesOf(columns[name])));
  if (bytes.length > MAX_COLUMNS_BYTES)
    throw new DataError({ problem: `${columns.targets.length} samples are more than can be kept`, advice: 'Set max_samples' });
  await writeFile(join(draft, COLUMNS), bytes);
  const { fileNames, labelNames, largestId } = columns;
  const stored: Stored = {
    columns: { fileNames, labelNames, largestId },
    samples: columns.targets.length,
    tokensChecksum,
    columnsChecksum: showChecksum(checksum(bytes)),
    labels,
    report,
  };
  await writeFile(join(draft, DATA), JSON.stringify(stored));
}
