/** Writes the metadata of a Parquet file for some of its columns, whose chunks move to other offsets. */
import type { FileHandle } from 'node:fs/promises';
import type { ColumnChunk, ColumnMetaData, RowGroup, SchemaElement } from 'hyparquet';
import { elementAt } from '../../narrow.ts';
import { FOOTER_END_BYTES } from './parquet-bounds.ts';
import { fieldsOf, integerField, listField, structField, structOf, structsOf } from './parquet-thrift.ts';
import { chunkSpan, columnOf, type Span } from './ranged-source.ts';
import type { ParquetFooter } from './read-parquet.ts';

export const MAGIC = 'PAR1';

/** The span of a chunk in the whole file. */
export interface ColumnsChunk extends Span {
  /** Index of its row group. */
  readonly group: number;
  /** The path of its column. */
  readonly column: string;
}

export interface ColumnsFooter {
  readonly bytes: Uint8Array;
  /** The chunks; in the new file, they are contiguous and begin after the magic. */
  readonly chunks: readonly ColumnsChunk[];
}

/** Fields of the structs in parquet.thrift. Fields that describe all columns, or refer to offsets in the file, are left out. */
const FILE = { version: 1, schema: 2, rows: 3, groups: 4, createdBy: 6 } as const;
const ELEMENT = { children: 5 } as const;
const GROUP = { columns: 1, bytes: 2, rows: 3 } as const;
const CHUNK = { offset: 2, metadata: 3 } as const;
const COLUMN = { data: 9, dictionary: 11, statistics: 12 } as const;

/** @throws Error if the metadata is damaged */
export function columnsFooter({ metadata, bytes }: ParquetFooter, names: ReadonlySet<string>, byteLength: number): ColumnsFooter {
  const chunks = metadata.row_groups
    .flatMap(({ columns }, group) =>
      columns.flatMap((chunk, place) => (names.has(columnOf(chunk)) ? [{ ...chunkSpan(chunk), group, place, column: pathOf(chunk) }] : [])),
    )
    .sort((a, b) => a.start - b.start);
  const moves = new Map<string, number>();
  let [at, before] = [MAGIC.length, MAGIC.length];
  for (const { start, end, group, place, column } of chunks) {
    if (!(start >= before && end >= start && end <= byteLength))
      throw new Error(`it places the column "${column}" at bytes ${start} to ${end}, after byte ${before} of ${byteLength}`);
    moves.set(`${group}:${place}`, at - start);
    at += end - start;
    before = end;
  }
  const fields = fieldsOf(bytes);
  const groups = structsOf(fields, FILE.groups).map((struct, group) =>
    groupOf(struct, elementAt(metadata.row_groups, group), place => moves.get(`${group}:${place}`)),
  );
  const schema = schemaOf(structsOf(fields, FILE.schema), metadata.schema, names);
  return {
    chunks,
    bytes: structOf([
      ...fields.filter(({ id }) => id === FILE.version),
      listField(FILE.schema, schema),
      ...fields.filter(({ id }) => id === FILE.rows),
      listField(FILE.groups, groups),
      ...fields.filter(({ id }) => id === FILE.createdBy),
    ]),
  };
}

/** Appends the metadata and the end of a file. */
export async function writeFooter(handle: FileHandle, footer: Uint8Array): Promise<void> {
  const end = Buffer.alloc(FOOTER_END_BYTES, MAGIC, 'latin1');
  end.writeUInt32LE(footer.length, 0);
  await handle.appendFile(Buffer.concat([footer, end]));
}

/** The path of a chunk's column in the schema. */
export const pathOf = ({ meta_data: column }: ColumnChunk): string => (column?.path_in_schema ?? []).join('.');

/** Selects elements of the schema. The first element is the root; each is followed by its children. */
function schemaOf(structs: readonly Uint8Array[], schema: readonly SchemaElement[], names: ReadonlySet<string>): Uint8Array[] {
  const kept: Uint8Array[] = [];
  let count = 0;
  for (let at = 1; at < schema.length; ) {
    const end = endOf(schema, at);
    if (names.has(elementAt(schema, at).name)) {
      kept.push(...structs.slice(at, end));
      count++;
    }
    at = end;
  }
  const root = fieldsOf(elementAt(structs, 0)).map(field => (field.id === ELEMENT.children ? integerField(field.id, count, 'i32') : field));
  return [structOf(root), ...kept];
}

/** Index after an element and all elements below it. */
function endOf(schema: readonly SchemaElement[], at: number): number {
  let end = at + 1;
  for (let left = schema[at]?.num_children ?? 0; left > 0 && end < schema.length; left--) end = endOf(schema, end);
  return end;
}

/** @param moveOf returns how far the chunk at an index of the group moves; undefined for a chunk that is left out */
function groupOf(struct: Uint8Array, { columns: known }: RowGroup, moveOf: (place: number) => number | undefined): Uint8Array {
  const fields = fieldsOf(struct);
  let bytes = 0;
  const columns = structsOf(fields, GROUP.columns).flatMap((chunk, place) => {
    const by = moveOf(place);
    const column = known[place]?.meta_data;
    if (by === undefined || column === undefined) return [];
    bytes += Number(column.total_uncompressed_size);
    return [chunkOf(chunk, column, by)];
  });
  return structOf([
    listField(GROUP.columns, columns),
    integerField(GROUP.bytes, bytes, 'i64'),
    ...fields.filter(({ id }) => id === GROUP.rows),
  ]);
}

function chunkOf(chunk: Uint8Array, column: ColumnMetaData, by: number): Uint8Array {
  const given = fieldsOf(chunk).find(({ id }) => id === CHUNK.metadata);
  if (given === undefined) throw new Error('its metadata has a column without its place');
  const [data, dictionary] = [Number(column.data_page_offset), Number(column.dictionary_page_offset ?? 0)];
  const fields = fieldsOf(given.bytes).flatMap(field => {
    if (field.id === COLUMN.data) return [integerField(COLUMN.data, Math.max(0, data + by), 'i64')];
    // Some writers give 0 for a missing dictionary.
    if (field.id === COLUMN.dictionary) return dictionary === 0 ? [] : [integerField(COLUMN.dictionary, dictionary + by, 'i64')];
    return field.id < COLUMN.data || field.id === COLUMN.statistics ? [field] : [];
  });
  return structOf([integerField(CHUNK.offset, 0, 'i64'), structField(CHUNK.metadata, fields)]);
}
