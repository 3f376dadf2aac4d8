/** Writes `data.columns` into the text of a recipe without changing anything else. Pure. */
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { positionsIn } from '../text/line-starts.ts';
import type { TextChange } from '../text/text-change.ts';

/** The change that sets the columns; undefined if the recipe has no map `data`, or if no column was or is mapped. */
export function setColumns(recipe: string, columns: Readonly<Record<string, string>>): TextChange | undefined {
  const { contents } = parseDocument(recipe);
  const data = isMap(contents) ? pairOf(contents, 'data')?.value : undefined;
  if (!isMap(data) || !data.range) return undefined;
  const isJson = isMap(contents) && contents.flow === true;
  const place = positionsIn(recipe);
  const changeOf = (start: number, end: number, newText: string): TextChange => ({
    range: { start: place(start), end: place(end) },
    newText,
  });
  const entry = `${isJson ? '"columns"' : 'columns'}: ${mapText(columns, isJson)}`;
  const existing = pairOf(data, 'columns');
  if (existing) return changeOf(...extentOf(existing), entry);
  const [first] = data.items;
  if (Object.keys(columns).length === 0) return undefined;
  if (!first) return changeOf(data.range[0] + 1, data.range[0] + 1, entry);
  const [start] = extentOf(first);
  const indent = start - (recipe.lastIndexOf('\n', start - 1) + 1);
  return changeOf(start, start, data.flow === true ? `${entry}, ` : `${entry}\n${' '.repeat(indent)}`);
}

const pairOf = (map: YAMLMap, name: string): Pair | undefined => map.items.find(({ key }) => isScalar(key) && key.value === name);

interface Ranged {
  readonly range?: readonly [number, number, number] | null | undefined;
}

const isRanged = (node: unknown): node is Ranged => typeof node === 'object' && node !== null && 'range' in node;

/** The offsets where a pair begins and ends. */
function extentOf({ key, value }: Pair): [begin: number, end: number] {
  const [begin, finish] = [isRanged(key) ? key.range : undefined, isRanged(value) ? value.range : undefined];
  const start = begin?.[0] ?? 0;
  return [start, finish?.[1] ?? begin?.[1] ?? start];
}

/** A word that every version of YAML reads as text. */
const PLAIN = /^(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z_][\w-]*$/i;

const mapText = (columns: Readonly<Record<string, string>>, isJson: boolean): string =>
  `{${Object.entries(columns)
    .map(([ours, theirs]) => `${isJson ? JSON.stringify(ours) : ours}: ${!isJson && PLAIN.test(theirs) ? theirs : JSON.stringify(theirs)}`)
    .join(', ')}}`;
