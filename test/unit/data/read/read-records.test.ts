/** Tests that every kind of file gives the same records with the correct lines; errors name file, line and key. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readAll, writeData } from '../data-files.ts';

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures');
const linesOf = async (name: string, content: string) =>
  (await readAll([writeData(name, content)])).map(({ line, value }) => [line, value]);

describe('records and their lines', () => {
  it('reads JSON Lines with byte-order mark, CRLF and empty lines', async () => {
    expect(await linesOf('a.jsonl', '\uFEFF{"text":"a"}\r\n\r\n{"text":"b\\nc"}')).toEqual([
      [1, { text: 'a' }],
      [3, { text: 'b\nc' }],
    ]);
  });

  it('reads a JSON list, a list under "data", and JSON Lines named .json', async () => {
    const list = '[\n {"text": "a]\\"}"},\n\n {"text": "b",\n  "n": [1, {"x": 2}]}\n]';
    const expected = [
      [2, { text: 'a]"}' }],
      [4, { text: 'b', n: [1, { x: 2 }] }],
    ];
    expect(await linesOf('a.json', list)).toEqual(expected);
    expect(await linesOf('a.json', `{"version": {"a": [1]}, "data": ${list}}`)).toEqual(expected);
    expect(await linesOf('a.json', '{"text":"a"}\n{"text":"b"}\n')).toEqual([
      [1, { text: 'a' }],
      [2, { text: 'b' }],
    ]);
    expect(await linesOf('a.json', '[]')).toEqual([]);
  });

  it('reads CSV with quoted commas, quotes and line breaks, and TSV without quoting', async () => {
    expect(await linesOf('a.csv', '\uFEFFtext,label\r\n"a, ""b""",x\r\n\r\n"two\r\nlines",y\r\nz,w\r\n')).toEqual([
      [2, { text: 'a, "b"', label: 'x' }],
      [4, { text: 'two\r\nlines', label: 'y' }],
      [6, { text: 'z', label: 'w' }],
    ]);
    expect(await linesOf('a.tsv', 'text\tlabel\n"a\t1\nb"\t0\n')).toEqual([
      [2, { text: '"a', label: '1' }],
      [3, { text: 'b"', label: '0' }],
    ]);
  });

  it.each(['snappy', 'zstd', 'gzip'])('reads Parquet row groups compressed with %s', async codec => {
    const records = await readAll([join(fixtures, `labeled.${codec}.parquet`)]);
    expect(records.map(({ line, value }) => [line, value])).toEqual(
      Array.from({ length: 10 }, (_, i) => [i + 1, { text: `mail number ${i}`, label: i % 2 }]),
    );
  });

  it('reads nested lists from Parquet', async () => {
    const [first] = await readAll([join(fixtures, 'messages.parquet')]);
    expect(first?.value.messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ]);
  });

  it('reads byte columns of Parquet as text unless bytes are requested', async () => {
    const [first] = await readAll([join(fixtures, 'images.parquet')]);
    expect(first?.value.image).toEqual({ bytes: expect.stringContaining('PNG'), path: '51.png' });
  });

  it('splits plain text by file, blank line or separator', async () => {
    const file = writeData('a.txt', 'one\ntwo\n\n\nthree\n---\nfour\n');
    const texts = async (split: Parameters<typeof readAll>[1]) =>
      (await readAll([file], split)).map(({ line, value }) => [line, value.text]);
    expect(await texts('file')).toEqual([[1, 'one\ntwo\n\n\nthree\n---\nfour']]);
    expect(await texts('blank_line')).toEqual([
      [1, 'one\ntwo'],
      [5, 'three\n---\nfour'],
    ]);
    expect(await texts({ separator: '---' })).toEqual([
      [1, 'one\ntwo\n\n\nthree'],
      [7, 'four'],
    ]);
  });

  it('reads lines across blocks, a folder in order, and stops at the number asked for', async () => {
    const long = `{"text":"${'ä'.repeat(700_000)}"}`;
    const file = writeData('a.jsonl', `${long}\n${long}\n{"text":"end"}`);
    expect((await readAll([file])).map(({ value }) => String(value.text).length)).toEqual([700_000, 700_000, 3]);
    expect(await readAll([dirname(file), file], 'file', 4)).toHaveLength(4);
    expect(await readAll([writeData('b.jsonl', '{"text":"a"}\n!')], 'file', 1)).toHaveLength(1);
    expect(await readAll([join(fixtures, 'labeled.zstd.parquet')], 'file', 5)).toHaveLength(5);
  });
});

describe('malformed files', () => {
  const parquet = readFileSync(join(fixtures, 'labeled.snappy.parquet'));
  it.each<[string, string | Uint8Array, string]>([
    ['a.jsonl', '{"text":"a"}\n{"text":', ':2: malformed JSON'],
    ['a.jsonl', `{"text":${'['.repeat(300)}${']'.repeat(300)}}`, ':1: lists and objects are nested more than 200 deep'],
    ['a.jsonl', '{"text":"a"}\n\n["b"]', ':3: a list, expected an object'],
    ['a.jsonl', Buffer.from([0x7b, 0x7d, 0x0a, 0x0a, 0xff, 0x41]), ':3: bytes that are not UTF-8'],
    ['a.jsonl', Buffer.from('\uFEFF{}', 'utf16le'), ':1: UTF-16 text'],
    ['a.json', '[{"text":"a"},\n{"text":"b"', ':2: malformed JSON'],
    ['a.json', '[{"text":"a"}\n{"text":"b"}]', ':1: malformed JSON'],
    ['a.json', '[{"text":"a"},\n\n', ':3: malformed JSON'],
    ['a.jsonl', '{"text":"a"},\n{"text":"b"},\n', ':1: malformed JSON: a comma after the sample. Remove it'],
    ['a.jsonl', '{"text":"a",}\n', ':1: malformed JSON: a comma before a closing bracket. Remove it.'],
    ['a.jsonl', "{'text': 'a'}\n", ':1: malformed JSON: quotes are single, as Python prints them. Write double quotes'],
    ['a.jsonl', '[\n {"text":"a"}\n]\n', ':1: a list of samples over several lines, expected one sample on each line. Let the name'],
    ['a.jsonl', '[{"text":"a"},\n{"text":"b"}]\n', ':1: a list of samples over several lines'],
    ['a.jsonl', '\n{\n  "text": "a"\n}\n', ':2: a sample over several lines, expected one sample on each line. Write each'],
    [
      'a.jsonl',
      '[{"text":"a"},{"text":"b"}]',
      ':1: a list, expected an object such as {"text": "…"}. Write one sample on each line, or let',
    ],
    ['a.jsonl', '[{"role":"user","content":"a"}]', ':1: a list, expected an object such as {"messages": […]}'],
    ['a.json', '[{"text":"a"},{"text":"b"},]', ':1 (sample 3): malformed JSON: the list has no sample here'],
    ['a.json', '[{"text":"a"},{"text" "b"},{}]', ':1 (sample 2): malformed JSON'],
    ['a.jsonl.gz', 'x', ': a file that ends in ".gz", expected one of'],
    ['noending', 'x', ': a file without an ending, expected one of'],
    ['a.json', '{"rows": 1}', ':1: expected a list of samples'],
    ['a.json', '"text"', ':1: expected a list of samples'],
    ['a.csv', 'text,label\na,b\nc\n', ':3: 1 fields, expected 2'],
    ['a.csv', 'text,label\na,b\na,"b\nc\nd\n', ':3: a quoted field that is never closed'],
    ['a.csv', 'text,text\na,b\n', ':1: the column "text" appears twice'],
    ['a.parquet', 'PAR1', ': not a readable Parquet file'],
    ['a.parquet', parquet.subarray(0, 300), ': not a readable Parquet file'],
    [
      'a.parquet',
      Buffer.concat([parquet.subarray(0, 4), Buffer.alloc(200, 0xff), parquet.subarray(204)]),
      ':1: not a readable Parquet file',
    ],
    ['a.xlsx', 'x', ': a file that ends in ".xlsx"'],
  ])('%s %#', async (name, content, message) => {
    const file = writeData(name, content);
    const error: unknown = await readAll([file]).catch(caught => caught);
    const wanted = message.startsWith(':') ? `${file}${message}` : message;
    expect(error).toMatchObject({ name: 'DataError', message: expect.stringContaining(wanted) });
  });

  it('says what to name in place of an address or a pattern', async () => {
    const named = (path: string) => readAll([path]);
    await expect(named('/mail/https:/huggingface.co/datasets/stanfordnlp/sst2/tree/main')).rejects.toThrow(
      'addresses are not read. Name the data set as the hub does: stanfordnlp/sst2',
    );
    await expect(named('hf://datasets/org/name/a.csv')).rejects.toThrow('Name the data set as the hub does: org/name');
    await expect(named('https://example.org/a.csv')).rejects.toThrow('addresses are not read. Download the file');
    await expect(named('/mail/old/2024-*.jsonl')).rejects.toThrow('Name the folder /mail/old, of which');
    await expect(named('*.jsonl')).rejects.toThrow('Name the folder ., of which');
  });

  it('asks to remove the line that only Excel reads', async () => {
    for (const line of ['sep=;', 'SEP=,', 'sep=\t'])
      await expect(linesOf('a.csv', `\uFEFF${line}\r\ntext;label\r\na;b\r\n`)).rejects.toThrow(
        /a\.csv:1: a line "sep=…" before the header/,
      );
    expect(await linesOf('a.csv', 'sep=,label\na,b\n')).toEqual([[2, { 'sep=': 'a', label: 'b' }]]);
  });

  it('names a path that is missing and a folder without data', async () => {
    await expect(readAll(['/no/such.jsonl'])).rejects.toThrow('/no/such.jsonl: no such file');
    await expect(readAll([])).rejects.toThrow('no data file is named');
    await expect(readAll([dirname(writeData('a.md', ''))])).rejects.toThrow('holds no data file');
  });
});
