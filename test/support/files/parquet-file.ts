/** Creates uncompressed Parquet files of texts, so that a test knows the size of each column. */

import { integerField, listField, structField, structOf, type ThriftField } from '../../../trainer/data/read/parquet-thrift.ts';
import { elementAt } from '../../../trainer/narrow.ts';

export type TextColumns = Readonly<Record<string, readonly string[]>>;

const MAGIC = Buffer.from('PAR1');

/** @param columns lists of texts of equal length. @param groupRows number of rows per row group */
export function parquetFile(columns: TextColumns, groupRows: number): Buffer {
  const names = Object.keys(columns);
  const rows = elementAt(Object.values(columns), 0).length;
  const parts: Buffer[] = [MAGIC];
  let at = MAGIC.length;
  const groups: Uint8Array[] = [];
  for (let from = 0; from < rows; from += groupRows) {
    const count = Math.min(groupRows, rows - from);
    let bytes = 0;
    const chunks = names.map(name => {
      const chunk = pageOf((columns[name] ?? []).slice(from, from + count));
      const place = at;
      parts.push(chunk);
      at += chunk.length;
      bytes += chunk.length;
      return chunkOf(name, { count, place, bytes: chunk.length });
    });
    groups.push(structOf([listField(1, chunks), integerField(2, bytes, 'i64'), integerField(3, count, 'i64')]));
  }
  const schema = [structOf([textField(4, 'schema'), integerField(5, names.length, 'i32')]), ...names.map(elementOf)];
  const footer = Buffer.from(
    structOf([integerField(1, 1, 'i32'), listField(2, schema), integerField(3, rows, 'i64'), listField(4, groups), textField(6, 'test')]),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([...parts, footer, length, MAGIC]);
}

/** Types in Thrift's compact protocol. */
const BINARY = 8;
const LIST = 9;
const I32 = 5;
/** Parquet's codes for a byte array, for UTF-8 text, and for a required column. */
const [BYTE_ARRAY, UTF8, REQUIRED] = [6, 0, 0];

const elementOf = (name: string): Uint8Array =>
  structOf([integerField(1, BYTE_ARRAY, 'i32'), integerField(3, REQUIRED, 'i32'), textField(4, name), integerField(6, UTF8, 'i32')]);

const textField = (id: number, text: string): ThriftField => ({ id, type: BINARY, bytes: binary(text) });

/** Encodes a text of fewer than 128 bytes. */
const binary = (text: string): Buffer => Buffer.concat([Uint8Array.of(Buffer.byteLength(text)), Buffer.from(text)]);

/** Returns a data page of texts, each preceded by its length. */
function pageOf(texts: readonly string[]): Buffer {
  const body = Buffer.concat(
    texts.map(text => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return Buffer.concat([length, Buffer.from(text)]);
    }),
  );
  const [plain, rle] = [0, 3];
  const data = [integerField(1, texts.length, 'i32'), ...[plain, rle, rle].map((encoding, i) => integerField(2 + i, encoding, 'i32'))];
  const sizes = [integerField(1, 0, 'i32'), integerField(2, body.length, 'i32'), integerField(3, body.length, 'i32')];
  return Buffer.concat([structOf([...sizes, structField(5, data)]), body]);
}

interface ChunkPlace {
  readonly count: number;
  readonly place: number;
  readonly bytes: number;
}

const chunkOf = (name: string, { count, place, bytes }: ChunkPlace): Uint8Array =>
  structOf([
    integerField(2, 0, 'i64'),
    structField(3, [
      integerField(1, BYTE_ARRAY, 'i32'),
      { id: 2, type: LIST, bytes: Uint8Array.of((1 << 4) | I32, 0) },
      { id: 3, type: LIST, bytes: Buffer.concat([Uint8Array.of((1 << 4) | BINARY), binary(name)]) },
      integerField(4, 0, 'i32'),
      integerField(5, count, 'i64'),
      integerField(6, bytes, 'i64'),
      integerField(7, bytes, 'i64'),
      integerField(9, place, 'i64'),
    ]),
  ]);
