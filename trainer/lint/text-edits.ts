/** Edits of a recipe's text: the smallest replacement that makes the requested change to its document; comments are kept. */
import { Document, isCollection, isMap, isScalar, type Pair, parseDocument, type Tags, YAMLParseError } from 'yaml';
import { aliasTargets, locate } from '../protocol/recipe/located.ts';
import { positionsIn } from '../protocol/text/line-starts.ts';
import type { TextChange } from '../protocol/text/text-change.ts';

/** The smallest change between two texts, in whole lines. */
export function smallestChange(before: string, after: string): TextChange | undefined {
  if (before === after) return undefined;
  const a = before.split('\n');
  const b = after.split('\n');
  let head = 0;
  while (head < a.length - 1 && head < b.length - 1 && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - 1 - head && tail < b.length - 1 - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const place = positionsIn(before);
  const begin = a.slice(0, head).reduce((sum, line) => sum + line.length + 1, 0);
  // Keep the carriage return at the end of a line.
  const changedOf = (lines: readonly string[]): string =>
    lines
      .slice(head, lines.length - tail)
      .join('\n')
      .replace(/\r$/, '');
  const [from, to] = [changedOf(a), changedOf(b)];
  return { range: { start: place(begin), end: place(begin + from.length) }, newText: to };
}

/**
 * The text after a change to its document, in its own style: JSON keeps its indentation, YAML its comments. Undefined if the text has
 * syntax errors, or if an alias would lose its anchor.
 */
export function editDocument(given: string, isJson: boolean, change: (document: Document) => void): string | undefined {
  const text = plainLines(given);
  const document = parseForEditing(text);
  if (document.errors.length > 0) return undefined;
  change(document);
  // The removed or moved part may have contained the anchor of an alias that stays.
  if ([...aliasTargets(document).values()].includes(undefined)) return undefined;
  const written = isJson
    ? `${JSON.stringify(document.toJS({ maxAliasCount: -1 }), undefined, indentOf(text))}${text.endsWith('\n') ? '\n' : ''}`
    : keepAlignment(text, document.toString({ lineWidth: 0, indent: indentOf(text), flowCollectionPadding: /\{ /.test(text) }));
  return withLineEndsOf(given, written);
}

/**
 * Sets a value, also below existing keys that have no value.
 * @returns false if something else, such as an alias, is in its place and nothing was set
 */
export function setValue(document: Document, keys: readonly (string | number)[], value: unknown): boolean {
  const home = keys.slice(0, -1);
  if (!mayHaveGroup(document, home)) return false;
  makeGroup(document, home);
  document.setIn(keys, value);
  return true;
}

/** The text with plain line ends, which edits work on. */
export const plainLines = (text: string): string => text.replaceAll('\r\n', '\n');

/** Restores the line ends of the original text. */
export const withLineEndsOf = (text: string, written: string): string =>
  text.includes('\r\n') ? written.replaceAll('\n', '\r\n') : written;

/** Keeps the alignment of comments: lines that differ only in the space before '#' are taken from the original. */
export function keepAlignment(before: string, after: string): string {
  const originals = new Map<string, string | undefined>();
  for (const line of before.split('\n')) {
    const plain = line.replace(/(\S)\s+#/, '$1 #');
    // If two lines differ only in that space, it may be part of a text.
    originals.set(plain, originals.has(plain) && originals.get(plain) !== line ? undefined : line);
  }
  return after
    .split('\n')
    .map(line => originals.get(line) ?? line)
    .join('\n');
}

/** Parses a document so that unchanged parts are written as they were, including numbers: 1.0e-4 remains a number for PyYAML. */
export function parseForEditing(text: string): Document {
  // A recipe beyond the bounds is not edited: its aliases would be expanded, or the stack exhausted by its depth.
  const excess = locate(text).problems.find(({ code }) => code === 'too-large');
  if (excess !== undefined) {
    const refused = new Document();
    refused.errors.push(new YAMLParseError([0, 0], 'RESOURCE_EXHAUSTION', excess.message));
    return refused;
  }
  const document = parseDocument(text, {
    keepSourceTokens: true,
    uniqueKeys: false,
    logLevel: 'error',
    prettyErrors: false,
    customTags: keepNumbers,
  });
  // The library notices a missing anchor only when it writes, and then throws.
  for (const [{ source }, target] of aliasTargets(document))
    if (!target) document.errors.push(new YAMLParseError([0, 0], 'BAD_ALIAS', `there is no anchor '&${source}' before this alias`));
  return document;
}

const keepNumbers = (tags: Tags): Tags =>
  tags.map(tag => {
    if (typeof tag === 'string' || tag.collection !== undefined || !/:(?:int|float)$/.test(tag.tag)) return tag;
    const { stringify } = tag;
    return {
      ...tag,
      // A number with a new value still has its old source.
      stringify: (item, ...rest) =>
        item.source !== undefined && Number(item.source) === item.value ? item.source : (stringify?.(item, ...rest) ?? String(item.value)),
    };
  });

/** The indentation of one level, taken from the first indented line. */
const indentOf = (text: string): number => Math.min(8, /^( +)[^\s#-]/m.exec(text)?.[1]?.length ?? 2);

/** Removes a pair from its map and returns it; undefined if it does not exist. */
export function takePair(document: Document, path: readonly (string | number)[]): Pair | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1));
  if (!isMap(parent)) return undefined;
  const at = parent.items.findIndex(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)));
  const [pair] = at < 0 ? [] : parent.items.splice(at, 1);
  // An empty group would read as a key without a value.
  if (parent.items.length === 0 && path.length > 1) document.deleteIn(path.slice(0, -1));
  return pair;
}

/**
 * Moves a pair to a dotted path, creating its group if needed. Changes nothing if the path already has a value, or if something else, such
 * as an alias, is in place of its group.
 */
export function movePair(document: Document, from: readonly (string | number)[], to: string): void {
  const steps = to.split('.');
  const home = steps.slice(0, -1);
  if (document.hasIn(steps) || !mayHaveGroup(document, home)) return;
  const pair = takePair(document, from);
  if (pair === undefined) return;
  makeGroup(document, home);
  const parent = home.length === 0 ? document.contents : document.getIn(home);
  if (!isMap(parent)) return;
  if (parent.items.length === 0) parent.flow = false;
  // Keep the key node itself, because it holds the comment above it.
  if (isScalar(pair.key)) pair.key.value = steps.at(-1);
  parent.items.push(pair);
}

/** True if a path consists only of collections, or of keys without a value, which can become collections. */
const mayHaveGroup = (document: Document, keys: readonly (string | number)[]): boolean =>
  (document.contents === null || isMap(document.contents)) &&
  keys.every((_, i) => {
    const home = document.getIn(keys.slice(0, i + 1), true);
    return home === undefined || isCollection(home) || isNothing(home);
  });

/** Turns the keys of a path that have no value into collections. */
function makeGroup(document: Document, keys: readonly (string | number)[]): void {
  for (let length = 1; length <= keys.length; length++) {
    const home = document.getIn(keys.slice(0, length), true);
    if (home === undefined || isNothing(home)) document.setIn(keys.slice(0, length), document.createNode({}));
  }
}

const isNothing = (node: unknown): boolean => isScalar(node) && node.value === null;
