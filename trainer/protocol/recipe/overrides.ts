/** Command-line overrides `key=value`: dotted keys and YAML values, applied on top of the file. */
import type { Problem, Range } from '../problem.ts';
import { type Located, locate, START } from './located.ts';
import { settings } from './recipe-schema.ts';

/** Maximum depth of a key; no setting is nested deeper, and `a.a.a…` must not nest endlessly. */
const MAX_KEY_DEPTH = 3;

/** The file's values with the overrides applied in order, and the problems of the overrides themselves. */
export function applyOverrides(
  root: Located | undefined,
  overrides: readonly string[],
): { root: Located | undefined; problems: Problem[] } {
  const problems: Problem[] = [];
  let result = root;
  for (const override of overrides) {
    const equals = override.indexOf('=');
    const key = equals < 0 ? '' : override.slice(0, equals).trim();
    const path = key.split('.');
    if (path.includes('') || path.length > MAX_KEY_DEPTH) {
      const range = lineRange(0, override.length);
      problems.push({
        code: 'invalid-override',
        severity: 'error',
        message: `write an override as key=value, not '${override}'`,
        path: [],
        range,
        override,
      });
      continue;
    }
    const value = readValue(override, key, equals + 1);
    problems.push(...value.problems);
    if (value.problems.length === 0)
      result = setAt(result, path, value.located, lineRange(override.indexOf(key), override.indexOf(key) + key.length), override);
  }
  return { root: result, problems };
}

const lineRange = (start: number, end: number): Range => ({ start: { line: 0, column: start }, end: { line: 0, column: end } });

/**
 * Reads the value of an override. An empty value and `null` remove a key, so that its default applies. If the setting accepts any text, the
 * value is taken literally unless it has YAML quotes.
 */
function readValue(override: string, key: string, offset: number): { located: Located | undefined; problems: readonly Problem[] } {
  const text = override.slice(offset);
  const trimmed = text.trim();
  if (trimmed === '' || trimmed === 'null' || trimmed === '~') return { located: undefined, problems: [] };
  const isText = Object.hasOwn(settings, key) && settings[key]?.type.isText;
  if (isText && !/^['"]/.test(trimmed)) {
    return {
      located: { content: { kind: 'scalar', value: trimmed, source: trimmed }, range: lineRange(offset, override.length), override },
      problems: [],
    };
  }
  const { root, problems } = locate(text, { override, offset });
  return { located: root, problems };
}

function setAt(
  root: Located | undefined,
  path: readonly string[],
  value: Located | undefined,
  keyRange: Range,
  override: string,
): Located | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  const old = root?.content.kind === 'map' ? root.content.entries : undefined;
  const entries = new Map(old);
  const child = setAt(entries.get(name), rest, value, keyRange, override);
  if (child === undefined) entries.delete(name);
  else entries.set(name, { ...child, keyRange: rest.length > 0 ? (entries.get(name)?.keyRange ?? keyRange) : keyRange });
  const place = root?.content.kind === 'map' ? root : { range: START, override };
  return { ...place, content: { kind: 'map', entries } };
}
