/** The page with the hostile trial's counts: one row per part with its seed and date, so that a part can be repeated alone. */
import { FAILINGS, type Failing, type Part } from './trial.ts';

export interface Counts extends Record<Failing, number> {
  readonly name: string;
  readonly unit: string;
  attacks: number;
  seconds: number;
}

const TITLE = [
  '# The hostile trial',
  '',
  'Written by `npm run hostile`. [Reliability](../../docs/explanation/reliability.md) says what each part does.',
];
const HEAD = ['part', 'attacks', ...FAILINGS, 'time', 'seed', 'date'];
const rowOf = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

/**
 * Returns the page with the row of one more part. Rows of other parts and the text after the table are unchanged.
 * @param before the page so far @param parts all parts, in the order of their rows @param date in the form 2026-11-28
 */
export function withCounts(
  before: string | undefined,
  { name, unit, attacks, seconds, ...failings }: Counts,
  { parts, seed, date }: { readonly parts: readonly Pick<Part, 'name' | 'unit'>[]; readonly seed: number; readonly date: string },
): string {
  const { rows, notes } = readPage(before ?? '');
  const counted = FAILINGS.map(failing => failings[failing]);
  rows.set(name, rowOf([name, `${attacks.toLocaleString('en-US')} ${unit}`, ...counted, `${Math.round(seconds)} s`, seed, date]));
  const table = parts.map(part => rows.get(part.name) ?? rowOf([part.name, `0 ${part.unit}`, ...FAILINGS.map(() => 0), 'not run', '', '']));
  const lines = [...TITLE, '', rowOf(HEAD), rowOf(HEAD.map(() => '---')), ...table];
  return `${[...lines, ...(notes === '' ? [] : ['', notes])].join('\n')}\n`;
}

/** Returns the rows by part, and the text after the table. @throws Error if the columns differ */
export function readPage(page: string): { readonly rows: Map<string, string>; readonly notes: string } {
  const lines = page.split('\n');
  const start = lines.findIndex(line => line.startsWith('|'));
  if (start < 0) return { rows: new Map(), notes: '' };
  if (lines[start] !== rowOf(HEAD))
    throw new Error(`the table of the hostile trial has the columns "${lines[start]}", expected "${rowOf(HEAD)}": fix or remove the page`);
  const length = lines.slice(start).findIndex(line => !line.startsWith('|'));
  const end = length < 0 ? lines.length : start + length;
  const rows = lines.slice(start + 2, end).map((line): [string, string] => [line.split('|')[1]?.trim() ?? '', line]);
  return { rows: new Map(rows), notes: lines.slice(end).join('\n').trim() };
}
