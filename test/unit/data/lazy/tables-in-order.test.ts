/** Tests that tables whose samples are read by position equal those tokenized up front. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findTable, tableSegments } from '../../../../trainer/data/lazy/table-segments.ts';
import { delimiterOf, parseRow, readSeparated, readTsv } from '../../../../trainer/data/read/read-csv.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { writeData } from '../data-files.ts';
import { eager, expectAsEager, opened, words } from './lazy-files.ts';

const random = createRandom(29);
const HARD = ['a, b', 'a "quoted" word', 'two\nlines', 'two\r\nlines', '""', '', ' spaces ', 'é 漢字 🙂', "it's", '"', ',', 'a; b'];
const values = Array.from({ length: 60 }, (_, i) => [`${i}`, HARD[i % HARD.length] ?? '', words(random.below(12) + 1)]);
const quoted = (field: string): string => (/[",;\r\n]/.test(field) || random.below(5) === 0 ? `"${field.replaceAll('"', '""')}"` : field);
const csv = (rows: readonly (readonly string[])[], end = '\n', delimiter = ','): string =>
  rows.map(row => row.map(quoted).join(delimiter)).join(end);
const head = ['number', 'hard', ' text '];
const tabs = [head, ...values.map(row => row.map(field => field.replaceAll(/[\t\r\n]/g, ' ')))].map(row => row.join('\t'));

const TABLES = {
  'with commas': ['a.csv', `${csv([head, ...values])}\n`],
  'without a last line end': ['a.csv', csv([head, ...values])],
  'with other line ends and a byte-order mark': ['a.csv', `\ufeff${csv([head, ...values], '\r\n')}\r\n`],
  'with empty lines': ['a.csv', `\n${csv([head, ...values], '\n\n')}\n\n\n`],
  'with semicolons': ['a.csv', `${csv([head, ...values], '\r\n', ';')}\r\n`],
  'with tabs': ['a.tsv', tabs.join('\n')],
  'with tabs and other line ends': ['a.tsv', tabs.join('\r\n')],
  'of one column': ['a.csv', csv([['text'], ...values.map(([, , text = '']) => [text])])],
} as const;

describe('the records of a table', () => {
  it.each(Object.entries(TABLES))('%s are those of the parser', async (_, [name, text]) => {
    const file = writeData(name, text);
    const bytes = readFileSync(file);
    const expected: unknown[] = [];
    for await (const { line, value } of name === 'a.csv' ? readSeparated(file) : readTsv(file)) expected.push([line, value]);
    const table = findTable(file, name === 'a.csv' ? '.csv' : '.tsv');
    if (table === undefined) throw new Error('no table');
    expect(expected.length).toBeGreaterThan(50);
    for (const readBytes of [1, 2, 3, 7, 64, 2 ** 20])
      for (const segmentBytes of [1, 300, 2 ** 20]) {
        const found: unknown[] = [];
        for (const { from, ranges, table: own } of tableSegments(file, table, segmentBytes, readBytes))
          for (const [i, start] of ranges.starts.entries()) {
            const line = ranges.lines[i] ?? 0;
            const end = from + start + (ranges.lengths[i] ?? 0);
            found.push([line, parseRow(file, line, bytes.toString('utf8', from + start, end), own)]);
          }
        expect(found).toEqual(expected);
      }
  });

  it.each([
    ['a.csv', 'one line'],
    ['a.csv', 'a,a\n1,2\n'],
    ['a.csv', 'a,\n1,2\n'],
    ['a.csv', '"a\nb",c\n1,2\n'],
    ['a.tsv', 'gj04\t1\t\tThe sailors rode the breeze clear of the rocks.\nx\t1\t\ty\n'],
  ])('are found by the parser alone: %s %j', (name, text) => {
    expect(findTable(writeData(name, text), name === 'a.csv' ? '.csv' : '.tsv')).toBeUndefined();
  });
});

it.each([
  ['text;label', ';'],
  ['"Name, first";"text"', ';'],
  ['text,label', ','],
  ['text,"a;b"', ','],
  ['"a;b"', ','],
  ['a;b,c', ','],
  ['text', ','],
])('the header %s has %s between its fields', (header, delimiter) => expect(delimiterOf(header)).toBe(delimiter));

const samples = Array.from({ length: 90 }, (_, i) => [words(i % 7 === 0 ? 60 : 6), i % 4 === 0 ? `"${words(3)}",\n` : '', words(8)]);

describe('a table', () => {
  it.each([{}, { maxSamples: 30 }])('has the same samples as if tokenized first (%j)', async settings => {
    await expectAsEager(writeData('a.csv', csv([['instruction', 'input', 'output'], ...samples])), settings);
  });

  it.each([
    ['x,y', '2 fields, expected 3 as in the header'],
    ['x,,', 'key "output": empty text'],
    ['x,"y"z,w', ''],
    ['x,y"z,w', ''],
    ['x,"y,z', ''],
  ])('is checked before training, with the line of what is wrong: %s', async (row, problem) => {
    const file = writeData(
      'a.csv',
      `${csv([
        ['instruction', 'input', 'output'],
        ['a', 'b', 'c'],
      ])}\n${row}\n`,
    );
    await expect(eager(file)).rejects.toThrow(/a\.csv:\d/);
    await expect(opened(file)).rejects.toThrow(`a.csv:3: ${problem}`);
  });
});
