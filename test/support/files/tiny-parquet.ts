/** A Parquet file with one column of integers, whose metadata may be false. */

type Field = readonly [id: number, type: number, value: readonly number[]];

const [I32, I64, BINARY, LIST, STRUCT] = [5, 6, 8, 9, 12];

export function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
const integer = (value: number): number[] => varint(value < 0 ? -2 * value - 1 : 2 * value);
const text = (value: string): number[] => [...varint(value.length), ...Buffer.from(value)];
export const listOf = (type: number, count: number, items: readonly number[]): number[] => [0xf0 + type, ...varint(count), ...items];
/** Encodes fields in the order of their ids. */
const struct = (fields: readonly Field[]): number[] => {
  let before = 0;
  return [
    ...fields.flatMap(([id, type, value]) => {
      const head = (id - before) * 16 + type;
      before = id;
      return [head, ...value];
    }),
    0,
  ];
};

export interface ParquetLies {
  /** The uncompressed size that the page claims, in bytes. */
  readonly pageBytes?: number;
  readonly pageValues?: number;
  readonly rows?: number;
  /** 0: uncompressed, 6: Zstandard. */
  readonly codec?: number;
  readonly page?: readonly number[];
  /** Replaces the metadata. */
  readonly footer?: readonly number[];
}

/** Creates a file with one page of the integers 1, 2 and 3, and the given false metadata. */
export function tinyParquet({ pageBytes, pageValues = 3, rows = 3, codec = 0, page, footer }: ParquetLies = {}): Buffer {
  const data = page ?? [...Buffer.from(Int32Array.of(1, 2, 3).buffer)];
  const values: Field[] = [
    [1, I32, integer(pageValues)],
    [2, I32, integer(0)],
    [3, I32, integer(3)],
    [4, I32, integer(3)],
  ];
  const header = struct([
    [1, I32, integer(0)],
    [2, I32, integer(pageBytes ?? data.length)],
    [3, I32, integer(data.length)],
    [5, STRUCT, struct(values)],
  ]);
  const chunk = [...header, ...data];
  const column = struct([
    [1, I32, integer(1)],
    [2, LIST, listOf(I32, 1, integer(0))],
    [3, LIST, listOf(BINARY, 1, text('n'))],
    [4, I32, integer(codec)],
    [5, I64, integer(rows)],
    [6, I64, integer(chunk.length)],
    [7, I64, integer(chunk.length)],
    [9, I64, integer(4)],
  ]);
  const group = struct([
    [
      1,
      LIST,
      listOf(
        STRUCT,
        1,
        struct([
          [2, I64, integer(4)],
          [3, STRUCT, column],
        ]),
      ),
    ],
    [2, I64, integer(chunk.length)],
    [3, I64, integer(rows)],
  ]);
  const root = struct([
    [4, BINARY, text('schema')],
    [5, I32, integer(1)],
  ]);
  const leaf = struct([
    [1, I32, integer(1)],
    [3, I32, integer(0)],
    [4, BINARY, text('n')],
  ]);
  const metadata =
    footer ??
    struct([
      [1, I32, integer(1)],
      [2, LIST, listOf(STRUCT, 2, [...root, ...leaf])],
      [3, I64, integer(rows)],
      [4, LIST, listOf(STRUCT, 1, group)],
    ]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(metadata.length);
  return Buffer.concat([Buffer.from('PAR1'), Buffer.from(chunk), Buffer.from(metadata), length, Buffer.from('PAR1')]);
}
