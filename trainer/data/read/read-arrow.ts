/**
 * Reads records of Arrow files, one record batch in memory at a time: streams, as `save_to_disk` of Hugging Face's datasets writes them, and
 * random-access files (Feather), whose messages are read in order as well. Format: https://arrow.apache.org/docs/format/Columnar.html
 */
import type { RecordBatch } from 'apache-arrow';
import { RecordBatchReader } from 'apache-arrow/ipc/reader';
import { StructRow } from 'apache-arrow/row/struct';
import { Vector } from 'apache-arrow/vector';
import type { AsyncBuffer } from 'hyparquet';
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { type CheckedMessage, checkBatch, checkMessage } from './arrow-bounds.ts';
import { damagedFile, openDataFile } from './data-file.ts';
import { bufferOf } from './read-parquet.ts';

export interface ArrowReading {
  readonly limit: number;
  /** Whether binary columns stay bytes; otherwise, they are read as text. */
  readonly bytes: boolean;
  /** Receives the fraction of the file that was read. */
  readonly onShare?: (share: number) => void;
}

/** The beginning of a random-access file, whose first message is at a multiple of eight bytes. */
const MAGIC = 'ARROW1';
/** Precedes the size of each message. */
const CONTINUATION = 0xffffffff;
/** The size of the continuation and of the size of a message. */
const PREFIX_BYTES = 8;
/** The end of a stream: a message of no bytes. */
const END = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
/** Maximum size of a message without its values: a schema of ten thousand columns has about a megabyte. */
const MAX_METADATA_BYTES = 16 * 2 ** 20;

const ADVICE = 'Write it again, without compression and with plain columns, or as Parquet: data_set.to_parquet("train.parquet")';

/**
 * Yields at most `limit` rows in order, with `line` counting from 1. 64-bit integers become numbers.
 * @throws DataError for a damaged file, and for types and compression that are not read
 */
export async function* readArrow(file: string, { limit, bytes, onShare }: ArrowReading): AsyncGenerator<DataRecord> {
  const { handle, stats } = await openDataFile(file);
  let line = 0;
  try {
    for await (const { batch, end } of batchesOf(bufferOf(handle, stats.size))) {
      for (const value of recordsOf(batch, bytes)) {
        if (line >= limit) return;
        yield { file, line: ++line, value };
      }
      onShare?.(end / stats.size);
    }
  } catch (cause) {
    if (cause instanceof DataError || isSystemError(cause)) throw cause;
    throw damagedFile('Arrow', { file, cause, line: line > 0 ? line + 1 : undefined, advice: ADVICE });
  } finally {
    await handle.close();
  }
}

/** The value of a key in the metadata of a file's schema; undefined if there is none. @throws Error for a damaged file */
export async function arrowMetadata(file: string, key: string): Promise<string | undefined> {
  const { handle, stats } = await openDataFile(file);
  try {
    for await (const { kind, message } of messagesOf(bufferOf(handle, stats.size)))
      if (kind === 'schema')
        return RecordBatchReader.from(Buffer.concat([message, END]))
          .open()
          .schema.metadata.get(key);
    return undefined;
  } finally {
    await handle.close();
  }
}

/** Yields the record batches of a file, each with the position of its end. @throws Error that says what is wrong */
async function* batchesOf(file: AsyncBuffer): AsyncGenerator<{ readonly batch: RecordBatch; readonly end: number }> {
  let schema: Buffer | undefined;
  for await (const { kind, message, end } of messagesOf(file)) {
    if (kind === 'schema') schema = message;
    else if (schema === undefined) throw new Error('a record batch comes before the schema');
    else yield { batch: decode(Buffer.concat([schema, message, END])), end };
  }
  if (schema === undefined) throw new Error('it has no schema');
}

interface ArrowMessage extends Pick<CheckedMessage, 'kind'> {
  /** Its metadata and values. */
  readonly message: Buffer;
  /** The position of its end. */
  readonly end: number;
}

/** Yields the messages of a file, checked. @throws Error that says what is wrong */
async function* messagesOf(file: AsyncBuffer): AsyncGenerator<ArrowMessage> {
  const size = file.byteLength;
  if (size < PREFIX_BYTES) throw new Error(`only ${size} bytes`);
  const read = async (at: number, length: number): Promise<Buffer> => Buffer.from(await file.slice(at, at + length));
  const isRandomAccess = (await read(0, PREFIX_BYTES)).toString('latin1', 0, MAGIC.length) === MAGIC;
  for (let at = isRandomAccess ? PREFIX_BYTES : 0; at < size; ) {
    const prefix = await read(at, PREFIX_BYTES);
    if (prefix.readUInt32LE(0) !== CONTINUATION) throw new Error(`no message of Arrow is at byte ${at}`);
    const length = prefix.readUInt32LE(4);
    // What follows in a random-access file repeats the positions of the messages.
    if (length === 0) return;
    if (length > MAX_METADATA_BYTES) throw new Error(`a description of ${length} bytes, expected at most ${MAX_METADATA_BYTES}`);
    const metadata = await read(at + PREFIX_BYTES, length);
    const { kind, bodyBytes } = checkMessage(metadata);
    const message = [prefix, metadata, await read(at + PREFIX_BYTES + length, bodyBytes)];
    at += PREFIX_BYTES + length + bodyBytes;
    yield { kind, message: Buffer.concat(message), end: at };
  }
}

/** Decodes a stream of one record batch. */
function decode(stream: Buffer): RecordBatch {
  const [batch] = RecordBatchReader.from(stream);
  if (batch === undefined) throw new Error('a record batch is empty');
  checkBatch(batch);
  return batch;
}

function* recordsOf(batch: RecordBatch, bytes: boolean): Generator<Record<string, unknown>> {
  const columns = batch.schema.fields.map(({ name }, i) => [name, batch.getChildAt(i)] as const);
  for (let row = 0; row < batch.numRows; row++)
    yield Object.fromEntries(columns.map(([name, column]) => [name, plain(column?.get(row), bytes)]));
}

const utf8 = new TextDecoder();

/** Converts values of the library recursively: rows to objects, vectors to lists, 64-bit integers to numbers. */
function plain(value: unknown, bytes: boolean): unknown {
  if (typeof value === 'bigint') return Number(value);
  // A copy: a view would keep its whole batch in memory.
  if (value instanceof Uint8Array) return bytes ? value.slice() : utf8.decode(value);
  if (value instanceof Vector) return Array.from(value, each => plain(each, bytes));
  if (value instanceof StructRow) return Object.fromEntries(Object.entries(value.toJSON()).map(([key, each]) => [key, plain(each, bytes)]));
  return value;
}

const isSystemError = (cause: unknown): boolean => cause instanceof Error && 'syscall' in cause;
