/** Tests the page of the hostile trial: repeating a part replaces its row and nothing else. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Counts, withCounts } from '../../hostile/report-page.ts';

const parts = [
  { name: 'kills', unit: 'kills' },
  { name: 'files', unit: 'mutated files' },
  { name: 'frames', unit: 'mutated frames' },
];
const countsOf = (name: string, attacks: number): Counts => ({
  name,
  unit: parts.find(part => part.name === name)?.unit ?? '',
  attacks,
  seconds: 59.6,
  lost: 1,
  hung: 2,
  crashed: 3,
  wrong: 4,
});
const rowsOf = (page: string): string[] => page.split('\n').filter(line => /^\| [a-z]+ \|/.test(line) && !line.startsWith('| part'));

describe('the page of the hostile trial', () => {
  const first = withCounts(undefined, countsOf('files', 7556), { parts, seed: 1, date: '2026-11-26' });

  test('has the counts of a part, and which parts were not run', () => {
    expect(rowsOf(first)).toEqual([
      '| kills | 0 kills | 0 | 0 | 0 | 0 | not run |  |  |',
      '| files | 7,556 mutated files | 1 | 2 | 3 | 4 | 60 s | 1 | 2026-11-26 |',
      '| frames | 0 mutated frames | 0 | 0 | 0 | 0 | not run |  |  |',
    ]);
  });

  test('keeps the rows of other parts and the text behind the table', () => {
    const noted = `${first.replace('60 s', '60 s, under load')}\nTwo notes.\n\nIn two paragraphs.\n`;
    const second = withCounts(noted, countsOf('kills', 300), { parts, seed: 2, date: '2026-11-28' });
    expect(rowsOf(second)).toEqual([
      '| kills | 300 kills | 1 | 2 | 3 | 4 | 60 s | 2 | 2026-11-28 |',
      '| files | 7,556 mutated files | 1 | 2 | 3 | 4 | 60 s, under load | 1 | 2026-11-26 |',
      '| frames | 0 mutated frames | 0 | 0 | 0 | 0 | not run |  |  |',
    ]);
    expect(second.endsWith('|\n\nTwo notes.\n\nIn two paragraphs.\n')).toBe(true);
    const again = withCounts(second, countsOf('kills', 300), { parts, seed: 2, date: '2026-11-28' });
    expect(again).toBe(second);
  });

  test('is refused with other columns, so that no count is lost', () => {
    const old = '| part | attacks |\n| --- | --- |\n| kills | 300 kills |\n';
    expect(() => withCounts(old, countsOf('files', 1), { parts, seed: 1, date: '2026-11-28' })).toThrow(
      'has the columns "| part | attacks |", expected "| part | attacks | lost | hung |',
    );
  });

  test('keeps the page of the repository, but for the row', () => {
    const page = readFileSync(new URL('../../../bench/results/hostile.md', import.meta.url), 'utf8');
    const rows = rowsOf(page);
    const all = rows.map(row => ({ name: row.split('|')[1]?.trim() ?? '', unit: 'attacks' }));
    const after = withCounts(page, countsOf('frames', 5), { parts: all, seed: 3, date: '2026-11-29' });
    expect(after).toBe(page.replace(/^\| frames .*$/m, '| frames | 5 mutated frames | 1 | 2 | 3 | 4 | 60 s | 3 | 2026-11-29 |'));
  });
});
