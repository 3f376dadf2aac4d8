/** A YAML or JSON value with its position in the text, before it is checked. */
import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument, visit, type YAMLParseError } from 'yaml';
import { messageOf } from '../error-facts.ts';
import type { Problem, Range } from '../problem.ts';
import { positionsIn } from '../text/line-starts.ts';
import { excessOf } from './text-bounds.ts';

export interface Located {
  readonly content:
    | { readonly kind: 'scalar'; readonly value: unknown /** The value as written. */; readonly source: string }
    | { readonly kind: 'list'; readonly items: readonly Located[] }
    | { readonly kind: 'map'; readonly entries: ReadonlyMap<string, Located> };
  readonly range: Range;
  /** The range of this value's key in a map. */
  readonly keyRange?: Range;
  /** The whole text of the override that set it; undefined if it comes from the file. */
  readonly override?: string;
}

export interface LocatedText {
  readonly root: Located | undefined;
  readonly problems: readonly Problem[];
}

/**
 * Maximum length of a recipe, which is a page of text. A quarter of a megabyte leaves room for thousands of label names and keeps typing
 * fast.
 */
export const MAX_RECIPE_CHARACTERS = 256 * 1024;
/** Maximum number of nodes after aliases are resolved: ten levels of ten aliases would be ten billion. */
const MAX_NODES = 50_000;
/** Maximum nesting depth; the schema nests three deep. */
const MAX_DEPTH = 16;
/** Maximum number of syntax problems to report individually; more are reported as one. */
const MAX_SYNTAX_PROBLEMS = 50;

export const START: Range = { start: { line: 0, column: 0 }, end: { line: 0, column: 0 } };

export interface LocateOptions {
  /** The override that contains the text. */
  readonly override?: string;
  /** The offset of the text in the override. */
  readonly offset?: number;
}

/** Reads YAML 1.2 (and so JSON) without throwing; damaged parts are skipped and reported. */
export function locate(text: string, { override, offset = 0 }: LocateOptions = {}): LocatedText {
  const problem = (code: string, message: string, range: Range): Problem => ({
    code,
    severity: 'error',
    message,
    path: [],
    range,
    override,
  });
  if (text.length > MAX_RECIPE_CHARACTERS) {
    return {
      root: undefined,
      problems: [problem('too-large', `a recipe has at most ${MAX_RECIPE_CHARACTERS} characters, this has ${text.length}`, START)],
    };
  }
  const positionOf = positionsIn(text);
  const excess = excessOf(text);
  if (excess !== undefined) {
    const start = positionOf(excess.offset);
    return {
      root: undefined,
      problems: [problem('too-large', excess.message, shift({ start, end: positionOf(excess.offset + 1) }, offset))],
    };
  }
  const toRange = (start: number, end: number): Range => shift({ start: positionOf(start), end: positionOf(Math.max(start, end)) }, offset);
  try {
    // Duplicate keys are found below, because the library compares every pair of keys.
    const document = parseDocument(text, {
      keepSourceTokens: true,
      uniqueKeys: false,
      merge: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    const walk = new Walk(document, override, toRange);
    const root = document.contents === null ? undefined : walk.node(document.contents, [], 0);
    const { errors } = document;
    const syntax = errors
      .slice(0, MAX_SYNTAX_PROBLEMS)
      .map((error, i) => problem('invalid-yaml', syntaxMessage(error, errors[i + 1]), toRange(error.pos[0], error.pos[1])))
      .filter((_, i) => !isContinued(errors[i - 1], errors[i]))
      .filter(({ range }, i, all) => !all.slice(0, i).some(each => each.message === NOT_ALIGNED && isSameLine(each.range, range)));
    return { root, problems: [...syntax, ...walk.problems] };
  } catch (error) {
    const reason = messageOf(error);
    return { root: undefined, problems: [problem('invalid-yaml', `invalid YAML: ${reason}`, START)] };
  }
}

/** True for the second of two errors about one key with a value and, below it, a line that is indented deeper. */
const isContinued = (first: YAMLParseError | undefined, second: YAMLParseError | undefined): boolean =>
  first?.code === 'BLOCK_AS_IMPLICIT_KEY' && second?.code === 'MULTILINE_IMPLICIT_KEY' && first.pos[0] === second.pos[0];

const NOT_ALIGNED = 'this line is not aligned with those before it: lines of one group have the same indentation';
const isSameLine = (a: Range, b: Range): boolean => a.start.line === b.start.line;

/** The message for an error; frequent mistakes are named, which the library words for readers of YAML's specification. */
function syntaxMessage(error: YAMLParseError, next: YAMLParseError | undefined): string {
  const message = error.message.split('\n')[0] ?? error.message;
  if (error.code === 'TAB_AS_INDENT') return 'tabs are not allowed as indentation: write spaces';
  if (error.code === 'BAD_INDENT' && message.startsWith('All ')) return NOT_ALIGNED;
  if (message.startsWith('A block sequence may not be used as an implicit map key')) return NOT_ALIGNED;
  if (error.code === 'BAD_INDENT' && message.startsWith('Flow '))
    return `the ${message.startsWith('Flow map') ? "'{' before this is not closed: add '}'" : "'[' before this is not closed: add ']'"}, and indent every line between them`;
  if (error.code === 'BLOCK_IN_FLOW') return 'entries inside brackets are not separated: put a comma between them, or the text in quotes';
  if (!message.startsWith('Nested mappings')) return message;
  return isContinued(error, next)
    ? 'this key has a value, but the next line is indented below it: align the two keys'
    : "': ' inside a value looks like another key: put the value in quotes";
}

/** The plain value, without positions. */
export function toPlain({ content }: Located): unknown {
  if (content.kind === 'scalar') return content.value;
  if (content.kind === 'list') return content.items.map(toPlain);
  return Object.fromEntries([...content.entries].map(([key, value]) => [key, toPlain(value)]));
}

/** The deepest located value along `path`, and whether the whole path exists. */
export function follow(root: Located, path: readonly (string | number)[]): { readonly found: Located; readonly complete: boolean } {
  let found = root;
  for (const step of path) {
    const { content } = found;
    const next =
      content.kind === 'map' ? content.entries.get(String(step)) : content.kind === 'list' ? content.items[Number(step)] : undefined;
    if (next === undefined) return { found, complete: false };
    found = next;
  }
  return { found, complete: true };
}

/** Shifts a range by the offset of an override's value; only its first line follows the key. */
const shift = ({ start, end }: Range, offset: number): Range => ({
  start: { line: start.line, column: start.column + (start.line === 0 ? offset : 0) },
  end: { line: end.line, column: end.column + (end.line === 0 ? offset : 0) },
});

/**
 * The target of each alias: the nearest preceding node with its anchor, if any. The library would search the whole document for each alias.
 */
export function aliasTargets(document: Document): ReadonlyMap<Alias, Node | undefined> {
  const anchored = new Map<string, Node>();
  const targets = new Map<Alias, Node | undefined>();
  visit(document, {
    Alias: (_, alias) => void targets.set(alias, anchored.get(alias.source)),
    Value: (_, node) => {
      if (node.anchor) anchored.set(node.anchor, node);
    },
  });
  return targets;
}

class Walk {
  readonly problems: Problem[] = [];
  private readonly override: string | undefined;
  private readonly toRange: (start: number, end: number) => Range;
  private readonly targets: ReturnType<typeof aliasTargets>;
  private nodes = 0;

  constructor(document: Document, override: string | undefined, toRange: (start: number, end: number) => Range) {
    this.targets = aliasTargets(document);
    this.override = override;
    this.toRange = toRange;
  }

  node(node: unknown, path: readonly (string | number)[], depth: number): Located | undefined {
    const range = this.range(node);
    this.nodes += 1;
    if (this.nodes > MAX_NODES || depth > MAX_DEPTH) {
      const message =
        depth > MAX_DEPTH ? `nested deeper than ${MAX_DEPTH} levels` : `more than ${MAX_NODES} values after resolving aliases`;
      if (!this.problems.some(({ code }) => code === 'too-large')) this.report('too-large', message, path, range);
      return undefined;
    }
    const place = { range, override: this.override };
    if (isAlias(node)) {
      const target = this.targets.get(node);
      if (target !== undefined) return this.node(target, path, depth + 1);
      this.report('invalid-yaml', `there is no anchor '&${node.source}' before this alias`, path, range);
      return undefined;
    }
    if (isMap(node)) return { ...place, content: { kind: 'map', entries: this.entries(node.items, path, depth) } };
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.node(item, [...path, index], depth + 1));
      return { ...place, content: { kind: 'list', items: items.filter(item => item !== undefined) } };
    }
    if (!isScalar(node)) return undefined;
    return { ...place, content: { kind: 'scalar', value: node.value, source: node.source ?? '' } };
  }

  private entries(
    items: readonly { key: unknown; value: unknown }[],
    path: readonly (string | number)[],
    depth: number,
  ): Map<string, Located> {
    const entries = new Map<string, Located>();
    for (const { key, value } of items) {
      const keyRange = this.range(key);
      if (!isScalar(key)) {
        this.report('unknown-key', 'a key must be a single word', path, keyRange);
        continue;
      }
      const name = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
      if (entries.has(name)) {
        this.report('duplicate-key', `'${name}' is given twice; keep one`, [...path, name], keyRange);
        continue;
      }
      const read = this.node(value, [...path, name], depth + 1);
      // Unreadable values already have a problem; only a key without a value counts as empty.
      if (read === undefined && value !== null) continue;
      const located = read ?? {
        content: { kind: 'scalar' as const, value: null, source: '' },
        range: { start: keyRange.end, end: keyRange.end },
        override: this.override,
      };
      entries.set(name, { ...located, keyRange });
    }
    return entries;
  }

  private range(node: unknown): Range {
    const range = isNode(node) ? node.range : undefined;
    return range ? this.toRange(range[0], range[1]) : START;
  }

  private report(code: string, message: string, path: readonly (string | number)[], range: Range): void {
    this.problems.push({ code, severity: 'error', message, path, range, override: this.override });
  }
}

const isNode = (node: unknown): node is Node => isMap(node) || isSeq(node) || isScalar(node) || isAlias(node);
