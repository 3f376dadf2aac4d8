/** The structure of a recipe: symbols, folding ranges and links to the files it names. Pure. */
import path from 'node:path';
import type { RecipeView } from '../trainer/lint/recipe-view.ts';
import type { Range } from '../trainer/protocol/problem.ts';
import { follow, type Located } from '../trainer/protocol/recipe/located.ts';
import { linesOf } from '../trainer/protocol/text/line-starts.ts';

export interface OutlineEntry {
  readonly name: string;
  readonly detail: string;
  readonly kind: 'group' | 'list' | 'setting';
  /** The range of key and value. */
  readonly range: Range;
  readonly keyRange: Range;
  readonly children: readonly OutlineEntry[];
}

export function symbolsOf(located: Located | undefined): OutlineEntry[] {
  if (located?.content.kind !== 'map') return [];
  return [...located.content.entries].flatMap(([name, entry]): OutlineEntry[] => {
    const { keyRange, content, range } = entry;
    // The value of an alias is located before its key.
    if (keyRange === undefined || name === '' || range.start.line < keyRange.start.line) return [];
    const kind = content.kind === 'map' ? 'group' : content.kind === 'list' ? 'list' : 'setting';
    const detail = content.kind === 'scalar' ? (content.source.split('\n')[0] ?? '') : '';
    return [{ name, detail, kind, keyRange, range: { start: keyRange.start, end: range.end }, children: symbolsOf(entry) }];
  });
}

/** The line of a top-level setting, counted from 0; undefined if the text does not contain it. */
export const lineOf = (located: Located | undefined, name: string): number | undefined =>
  located?.content.kind === 'map' ? located.content.entries.get(name)?.keyRange?.start.line : undefined;

export interface Fold {
  readonly startLine: number;
  /** The last line, inclusive. */
  readonly endLine: number;
  readonly kind?: 'comment';
}

export function foldsOf({ root, text }: Pick<RecipeView, 'root' | 'text'>): Fold[] {
  const folds: Fold[] = [];
  const addAll = (symbols: readonly OutlineEntry[]): void => {
    for (const { range, children } of symbols) {
      // A block ends at the start of the line after it.
      const endLine = range.end.column === 0 ? range.end.line - 1 : range.end.line;
      if (endLine > range.start.line) folds.push({ startLine: range.start.line, endLine });
      addAll(children);
    }
  };
  addAll(symbolsOf(root));
  let start: number | undefined;
  for (const [line, content] of [...linesOf(text), ''].entries()) {
    if (/^\s*#/.test(content)) start ??= line;
    else {
      if (start !== undefined && line - 1 > start) folds.push({ startLine: start, endLine: line - 1, kind: 'comment' });
      start = undefined;
    }
  }
  return folds;
}

export interface FileLink {
  readonly range: Range;
  /** Absolute path. */
  readonly file: string;
}

/** Returns links for the names of existing files. */
export function linksOf({ root, data, model, values }: RecipeView): FileLink[] {
  if (root === undefined) return [];
  const links: FileLink[] = [];
  const add = (keys: readonly (string | number)[], file: string): void => {
    const { found } = follow(root, keys);
    if (found.content.kind === 'scalar') links.push({ range: found.range, file });
  };
  if (model !== undefined && 'path' in model)
    add(['model'], /\.\w+$/.test(path.basename(model.path)) ? model.path : path.join(model.path, 'config.json'));
  const places = (['train', 'eval'] as const).flatMap(part => values.data[part].map((_, i) => ['data', part, i]));
  for (const [i, fact] of data.entries()) {
    const place = places[i];
    if (place !== undefined && fact.state !== 'missing' && !fact.isFolder) add(place, fact.full);
  }
  return links;
}
