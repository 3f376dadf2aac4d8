/**
 * Bounds on Arrow files. The library trusts the counts, lengths and offsets in a file, so one that claims more than it holds could keep a
 * process busy for hours, or fill its memory. Messages: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
 */
import type { Data, RecordBatch } from 'apache-arrow';
import { Type as DataType } from 'apache-arrow/enum';
import { Field } from 'apache-arrow/fb/field';
import { KeyValue } from 'apache-arrow/fb/key-value';
import { Message } from 'apache-arrow/fb/message';
import { MessageHeader } from 'apache-arrow/fb/message-header';
import { RecordBatch as BatchHeader } from 'apache-arrow/fb/record-batch';
import { Schema } from 'apache-arrow/fb/schema';
import { Timestamp } from 'apache-arrow/fb/timestamp';
import { Type } from 'apache-arrow/fb/type';
import { ByteBuffer, Encoding } from 'flatbuffers';
import { MAX_NESTING } from '../types.ts';

/** Maximum size of a record batch, which is held as a whole; `datasets` writes batches of 1,000 rows. */
const MAX_BATCH_BYTES = 2 ** 30;
/** Maximum number of values in a record batch, including those of lists and fields: eight bytes each in memory. */
const MAX_BATCH_VALUES = 100_000_000;

/** The types that are read. */
const READ: ReadonlySet<Type> = new Set([
  ...[Type.Null, Type.Int, Type.FloatingPoint, Type.Bool, Type.Date, Type.Timestamp, Type.List, Type.LargeList, Type.Struct_],
  ...[Type.Utf8, Type.LargeUtf8, Type.Binary, Type.LargeBinary],
]);

/** A message's kind, with the size of the values that follow it. */
export interface CheckedMessage {
  readonly kind: 'schema' | 'batch';
  readonly bodyBytes: number;
}

/** Checks the metadata of a message before the library reads it. @throws Error that says what is not read, or that it is damaged */
export function checkMessage(metadata: Uint8Array): CheckedMessage {
  const message = Message.getRootAsMessage(new ByteBuffer(metadata));
  const budget = new Budget(metadata.length);
  budget.takeEntries(message);
  const bodyBytes = Number(message.bodyLength());
  if (!(bodyBytes >= 0 && bodyBytes <= MAX_BATCH_BYTES))
    throw new Error(`a record batch of ${bodyBytes} bytes, expected at most ${MAX_BATCH_BYTES}`);
  const type = message.headerType();
  if (type === MessageHeader.Schema) checkSchema(message.header(new Schema()), budget);
  else if (type === MessageHeader.RecordBatch) checkHeader(message.header(new BatchHeader()), budget);
  else throw new Error('a message that is no schema and no record batch');
  return { kind: type === MessageHeader.Schema ? 'schema' : 'batch', bodyBytes };
}

/** Counts what a message claims to hold: all of it together has at least a byte each, so it cannot be more than the message's own bytes. */
class Budget {
  private left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }

  take(count: number): void {
    this.left -= count;
    if (!(count >= 0 && this.left >= 0)) throw new Error('a message claims more than it holds');
  }

  takeEntries(of: { customMetadataLength(): number; customMetadata(index: number, entry?: KeyValue): KeyValue | null }): void {
    const count = of.customMetadataLength();
    this.take(count);
    for (let i = 0; i < count; i++) {
      const entry = of.customMetadata(i, new KeyValue());
      this.take((entry?.key(Encoding.UTF8_BYTES)?.length ?? 0) + (entry?.value(Encoding.UTF8_BYTES)?.length ?? 0));
    }
  }
}

function checkSchema(schema: Schema, budget: Budget): void {
  budget.takeEntries(schema);
  budget.take(schema.fieldsLength() + schema.featuresLength());
  for (let i = 0; i < schema.fieldsLength(); i++) checkField(schema.fields(i, new Field()), budget, MAX_NESTING);
}

function checkField(field: Field | null, budget: Budget, depth: number): void {
  if (field === null) throw new Error('a column without a description');
  budget.take(field.name(Encoding.UTF8_BYTES)?.length ?? 0);
  budget.takeEntries(field);
  const named = `the column "${field.name()}"`;
  if (field.dictionary() !== null) throw new Error(`${named} has numbers for values that are listed elsewhere, which is not read`);
  const type = field.typeType();
  if (!READ.has(type)) throw new Error(`${named} has the type ${Type[type] ?? type}, which is not read`);
  if (type === Type.Timestamp) budget.take(field.type(new Timestamp())?.timezone(Encoding.UTF8_BYTES)?.length ?? 0);
  if (depth === 0) throw new Error(`lists and objects are nested more than ${MAX_NESTING} deep`);
  budget.take(field.childrenLength());
  for (let i = 0; i < field.childrenLength(); i++) checkField(field.children(i, new Field()), budget, depth - 1);
}

function checkHeader(header: BatchHeader, budget: Budget): void {
  if (header.compression() !== null) throw new Error('its record batches are compressed');
  budget.take(header.nodesLength() + header.buffersLength() + header.variadicBufferCountsLength());
}

/** @throws Error that names the column, if a record batch has too many values, or offsets outside of its buffers */
export function checkBatch({ schema, data }: RecordBatch): void {
  let values = data.length;
  const check = (name: string, part: Data): void => {
    values += part.length;
    if (!(part.length >= 0 && values <= MAX_BATCH_VALUES)) throw new Error(`a record batch has more than ${MAX_BATCH_VALUES} values`);
    checkOffsets(name, part);
    for (const child of part.children) check(name, child);
  };
  for (const [i, part] of data.children.entries()) check(schema.fields[i]?.name ?? String(i), part);
}

const LISTS: ReadonlySet<DataType> = new Set([DataType.List, DataType.LargeList]);
const BYTES: ReadonlySet<DataType> = new Set([DataType.Utf8, DataType.LargeUtf8, DataType.Binary, DataType.LargeBinary]);

/** Checks that offsets rise and end within what they point into: values that overlap could be more than the file holds. */
function checkOffsets(name: string, { typeId, length, children, values, valueOffsets: offsets }: Data): void {
  if (length === 0 || !(LISTS.has(typeId) || BYTES.has(typeId))) return;
  const end = (LISTS.has(typeId) ? children[0]?.length : values?.length) ?? 0;
  let last = Number(offsets?.[0] ?? -1);
  let isRising = last >= 0;
  for (let i = 1; isRising && i <= length; i++) {
    const next = Number(offsets?.[i] ?? -1);
    isRising = next >= last;
    last = next;
  }
  if (!isRising || last > end) throw new Error(`offsets of the column "${name}" lead outside of its values`);
}
