/**
 * Reads records of Arrow files, one record batch in memory at a time: streams, as `save_to_disk` of Hugging Face's datasets writes them, and
 * random-access files (Feather), whose messages are read in order as well. Format: https://arrow.apache.org/docs/format/Columnar.html
 */
import type { FileHandle } from 'node:fs/promises';
import type { RecordBatch } from 'apache-arrow';
import { RecordBatchReader } from 'apache-arrow/ipc/reader';
import { StructRow } from 'apache-arrow/row/struct';
import { Vector } from 'apache-arrow/vector';
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { checkBatch, checkMessage } from './arrow-bounds.ts';
import { openDataFile } from './data-file.ts';

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

/**
 * Yields at most `limit` rows in order, with `line` counting from 1. 64-bit integers become numbers.
 * @throws DataError for a damaged file, and for types and compression that are not read
 */
export async function* readArrow(file: string, { limit, bytes, onShare }: ArrowReading): AsyncGenerator<DataRecord> {
  const { handle, stats } = await openDataFile(file);
  let line = 0;
  try {
    for await (const { batch, end } of batchesOf(handle, stats.size)) {
      for (let row = 0; row < batch.numRows; row++) {
        if (line >= limit) return;
        yield { file, line: ++line, value: recordOf(batch, row, bytes) };
      }
      onShare?.(end / stats.size);
    }
  } catch (cause) {
    throw cause instanceof DataError || isSystemError(cause) ? cause : damaged(file, cause, line);
  } finally {
    await handle.close();
  }
}

/** Yields the record batches of a file of `size` bytes, each with the position of its end. @throws Error that says what is wrong */
async function* batchesOf(handle: FileHandle, size: number): AsyncGenerator<{ readonly batch: RecordBatch; readonly end: number }> {
  if (size < PREFIX_BYTES) throw new Error(`only ${size} bytes`);
  const first = await readAt(handle, 0, PREFIX_BYTES);
  const isRandomAccess = first.toString('latin1', 0, MAGIC.length) === MAGIC;
  let schema: Buffer | undefined;
  for (let at = isRandomAccess ? PREFIX_BYTES : 0; at < size; ) {
    const prefix = await readAt(handle, at, PREFIX_BYTES);
    if (prefix.readUInt32LE(0) !== CONTINUATION) throw new Error(`no message of Arrow is at byte ${at}`);
    const length = prefix.readUInt32LE(4);
    // What follows in a random-access file repeats the positions of the messages.
    if (length === 0) return;
    if (length > MAX_METADATA_BYTES) throw new Error(`a description of ${length} bytes, expected at most ${MAX_METADATA_BYTES}`);
    const { kind, bodyBytes } = checkMessage(await readAt(handle, at + PREFIX_BYTES, length));
    const message = await readAt(handle, at, PREFIX_BYTES + length + bodyBytes);
    at += message.length;
    if (kind === 'schema') schema = message;
    else if (schema === undefined) throw new Error('a record batch comes before the schema');
    else yield { batch: decode(schema, message), end: at };
  }
  if (schema === undefined) throw new Error('it has no schema');
}

function decode(schema: Buffer, message: Buffer): RecordBatch {
  const [batch] = RecordBatchReader.from(Buffer.concat([schema, message, END]));
  if (batch === undefined) throw new Error('a record batch is empty');
  checkBatch(batch);
  return batch;
}

async function readAt(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const { size } = await handle.stat();
  if (at + length > size) throw new Error(`it ends at byte ${size}, within a message of ${length} bytes at byte ${at}`);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, at);
  if (bytesRead < length) throw new Error('it was cut short while it was being read');
  return buffer;
}

function recordOf(batch: RecordBatch, row: number, bytes: boolean): Record<string, unknown> {
  return Object.fromEntries(batch.schema.fields.map(({ name }, i) => [name, plain(batch.getChildAt(i)?.get(row), bytes)]));
}

/** Converts values of the library recursively: rows to objects, vectors to lists, 64-bit integers to numbers. */
function plain(value: unknown, bytes: boolean): unknown {
  if (typeof value === 'bigint') return Number(value);
  // A copy: a view would keep its whole batch in memory.
  if (value instanceof Uint8Array) return bytes ? value.slice() : new TextDecoder().decode(value);
  if (value instanceof Vector) return Array.from(value, each => plain(each, bytes));
  if (value instanceof StructRow) return Object.fromEntries(Object.entries(value.toJSON()).map(([key, each]) => [key, plain(each, bytes)]));
  return value;
}

const isSystemError = (cause: unknown): boolean => cause instanceof Error && 'syscall' in cause;

function damaged(file: string, cause: unknown, rows: number): DataError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DataError(
    {
      file,
      line: rows > 0 ? rows + 1 : undefined,
      problem: `not a readable Arrow file (${reason})`,
      advice: 'Write it again, without compression and with plain columns, or as Parquet: data_set.to_parquet("train.parquet")',
    },
    { cause },
  );
}
