/** Reads a component of tokenizer.json: checks its fields and looks up its kind. */
import { isRecord } from '../../../narrow.ts';
import { MAX_TEXT_CHARACTERS } from './component-limits.ts';
import { compileOniguruma, literal } from './oniguruma.ts';

export type Component = Readonly<Record<string, unknown>>;

/** Maximum nesting of sequences: no published file has more than two. */
const MAX_NESTING = 16;
/** Maximum members of a sequence. Published files have up to ten; each may lengthen a text. */
const MAX_STEPS = 64;

/**
 * Creates a component by its `type`.
 * @throws Error for an unknown kind or a field of the wrong type
 */
export function build<T>(
  what: string,
  value: unknown,
  kinds: Readonly<Record<string, (component: Component, depth: number) => T>>,
  depth = 0,
): T {
  if (depth > MAX_NESTING) throw new Error(`its ${what} is nested more than ${MAX_NESTING} deep`);
  const type = isRecord(value) ? value.type : undefined;
  const make = typeof type === 'string' && Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (make === undefined || !isRecord(value))
    throw new Error(`its ${what} ${JSON.stringify(type)?.slice(0, 80) ?? '(without a type)'} is not supported`);
  return make(value, depth);
}

/** Reads a short text that is inserted into other texts, or searched for in them. */
export function text(component: Component, key: string, byDefault?: string): string {
  const value = longText(component, key, byDefault);
  if (value.length > MAX_TEXT_CHARACTERS)
    throw new Error(`${String(component.type)} has ${value.length} characters in ${key}; at most ${MAX_TEXT_CHARACTERS} are read`);
  return value;
}

/** Reads a text of any length. */
export function longText(component: Component, key: string, byDefault?: string): string {
  const value = component[key] ?? byDefault;
  if (typeof value !== 'string') throw new Error(`${String(component.type)} has no text in ${key}`);
  return value;
}

export function flag(component: Component, key: string, byDefault: boolean): boolean {
  const value = component[key] ?? byDefault;
  if (typeof value !== 'boolean') throw new Error(`${String(component.type)} needs true or false in ${key}`);
  return value;
}

export function integer(component: Component, key: string, byDefault?: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = component[key] ?? byDefault;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`${String(component.type)} needs a whole number in ${key}`);
  if (value > most) throw new Error(`${String(component.type)} has ${value} in ${key}; at most ${most} is supported`);
  return value;
}

export function list(component: Component, key: string): readonly unknown[] {
  const value = component[key];
  if (!Array.isArray(value)) throw new Error(`${String(component.type)} has no list in ${key}`);
  return value;
}

/** The components of a sequence. */
export function steps(component: Component, key: string): readonly unknown[] {
  const found = list(component, key);
  if (found.length > MAX_STEPS)
    throw new Error(`its ${String(component.type)} has ${found.length} steps in ${key}; at most ${MAX_STEPS} are supported`);
  return found;
}

/** Reads `{ "String": … }` or `{ "Regex": … }`. */
export function pattern(component: Component): RegExp {
  const value = component.pattern;
  if (isRecord(value) && typeof value.String === 'string') return literal(value.String);
  if (isRecord(value) && typeof value.Regex === 'string') return compileOniguruma(value.Regex);
  if (typeof value === 'string') return literal(value);
  throw new Error(`${String(component.type)} has a pattern that is neither a String nor a Regex`);
}
