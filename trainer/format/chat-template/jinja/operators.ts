/** Python's operators. */
import { elementAt, valueFor } from '../../../narrow.ts';
import { MAX_BITS, spend } from './budget.ts';
import { formatPercent } from './format.ts';
import { comparePoints } from './json.ts';
import type { BinaryOperator, Comparison } from './nodes.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { Dict, DictView, isNumber, itemsOf, Markup, numeric, Once, Range, Tuple, typeName, Undefined, type Value } from './values.ts';

/** True for equal numbers, so 1 equals 1.0. */
const sameNumber = (x: number | bigint, y: number | bigint): boolean => x <= y && x >= y;

export function equal(a: Value, b: Value): boolean {
  spend();
  if (isNumber(a) && isNumber(b)) return sameNumber(numeric(a), numeric(b));
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length === b.length) spend(a.length);
    return a === b;
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => equal(item, elementAt(b, i)));
  if (a instanceof Tuple && b instanceof Tuple) return equal(a.items, b.items);
  if (a instanceof Dict && b instanceof Dict)
    return a.size === b.size && a.entries().every(([key, value]) => b.has(key) && equal(value, valueFor(b, key)));
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Range && b instanceof Range) return equal(a.items(), b.items());
  if (a instanceof Markup || b instanceof Markup) return (a instanceof Markup ? a.text : a) === (b instanceof Markup ? b.text : b);
  return a === b;
}

/** Returns a negative, zero or positive number; NaN if an operand is NaN. @throws TemplateError if Python defines no order */
export function order(a: Value, b: Value, sign = '<'): number {
  spend();
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [numeric(a), numeric(b)];
    return x < y ? -1 : x > y ? 1 : sameNumber(x, y) ? 0 : Number.NaN;
  }
  if (typeof a === 'string' && typeof b === 'string') {
    spend(Math.min(a.length, b.length));
    return comparePoints(a, b);
  }
  const lists: readonly [readonly Value[], readonly Value[]] | undefined =
    Array.isArray(a) && Array.isArray(b) ? [a, b] : a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : undefined;
  if (lists === undefined) throw new TemplateError(`'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  const [x, y] = lists;
  const at = x.findIndex((item, i) => i >= y.length || !equal(item, elementAt(y, i)));
  if (at < 0) return x.length - y.length;
  return at >= y.length ? 1 : order(elementAt(x, at), elementAt(y, at), sign);
}

export function compare(operator: Comparison, a: Value, b: Value): boolean {
  if (a instanceof Markup || b instanceof Markup) return compare(operator, plainText(a), plainText(b));
  switch (operator) {
    case '==':
      return equal(a, b);
    case '!=':
      return !equal(a, b);
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
    case '<':
      return order(a, b, operator) < 0;
    case '>':
      return order(a, b, operator) > 0;
    case '<=':
      return order(a, b, operator) <= 0;
    case '>=':
      return order(a, b, operator) >= 0;
  }
}

export function contains(container: Value, item: Value): boolean {
  if (typeof container === 'string') {
    if (typeof item !== 'string') throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    spend(container.length);
    return container.includes(item);
  }
  if (container instanceof Dict) return container.has(item);
  if (container instanceof DictView && container.kind === 'dict_keys') return container.dict.has(item);
  if (container instanceof Once) {
    // A generator is consumed up to the item found.
    for (let next = container.next(); next !== undefined; next = container.next()) if (equal(next, item)) return true;
    return false;
  }
  if (!Array.isArray(container) && typeof container !== 'object')
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  return itemsOf(container).some(other => equal(other, item));
}

const plainText = (value: Value): Value => (value instanceof Markup ? value.text : value);

const noOperator = (operator: string, a: Value, b: Value): never => {
  for (const value of [a, b]) if (value instanceof Undefined) throw new TemplateError(`'${value.name}' is undefined`);
  if (a instanceof Markup || b instanceof Markup) throw unsupported('the result of |safe in an expression');
  throw new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
};

/** @throws TemplateError for operands that Python refuses, and for operations over the limits */
export function binary(operator: BinaryOperator, a: Value, b: Value): Value {
  spend();
  if (isNumber(a) && isNumber(b)) return arithmetic(operator, numeric(a), numeric(b));
  if (operator === '%' && typeof a === 'string') return formatPercent(a, b);
  if (operator === '*') {
    if (isWhole(b)) return repeated(a, Number(numeric(b))) ?? noOperator(operator, a, b);
    if (isWhole(a)) return repeated(b, Number(numeric(a))) ?? noOperator(operator, a, b);
  }
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      spend(a.length + b.length);
      return a + b;
    }
    const safe = a instanceof Markup || b instanceof Markup ? joined(a, b) : undefined;
    if (safe) return safe;
    if (Array.isArray(a) && Array.isArray(b)) {
      spend(a.length + b.length);
      return [...a, ...b];
    }
    if (a instanceof Tuple && b instanceof Tuple) {
      spend(a.items.length + b.items.length);
      return new Tuple([...a.items, ...b.items]);
    }
  }
  return noOperator(operator, a, b);
}

/** As in MarkupSafe, the text next to safe text is escaped; undefined if one of them is no text. */
function joined(a: Value, b: Value): Markup | undefined {
  const parts = [a, b].map(value => (value instanceof Markup ? value.text : typeof value === 'string' ? escapeHtml(value) : undefined));
  if (parts.includes(undefined)) return undefined;
  const text = parts.join('');
  spend(text.length);
  return new Markup(text);
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
const escapeHtml = (text: string): string => text.replace(/[&<>'"]/g, found => ENTITIES[found] ?? found);

const isWhole = (value: Value): value is bigint | boolean => typeof value === 'bigint' || typeof value === 'boolean';

function repeated(value: Value, times: number): Value | undefined {
  const count = Math.max(0, times);
  if (typeof value === 'string') {
    spend(value.length * count);
    return value.repeat(count);
  }
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items === undefined) return undefined;
  spend(items.length * count);
  const all = Array.from({ length: count }, () => items).flat();
  return value instanceof Tuple ? new Tuple(all) : all;
}

function arithmetic(operator: BinaryOperator, a: number | bigint, b: number | bigint): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint' && operator !== '/' && !(operator === '**' && b < 0n)) return whole(operator, a, b);
  const [x, y] = [Number(a), Number(b)];
  if (y === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateError('division by zero');
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return typeof a === 'bigint' && typeof b === 'bigint' && a % b === 0n ? Number(a / b) : x / y;
    case '//':
      return Math.floor((x - remainder(x, y)) / y + 0.5);
    case '%':
      return remainder(x, y);
    case '**':
      if (x === 0 && y < 0) throw new TemplateError('0.0 cannot be raised to a negative power');
      if (x < 0 && !Number.isInteger(y)) throw unsupported('a complex number');
      return x ** y;
  }
}

/** The remainder with the sign of the divisor. */
function remainder(x: number, y: number): number {
  const result = x % y;
  if (result === 0) return y < 0 ? -0 : 0;
  return result < 0 === y < 0 ? result : result + y;
}

function whole(operator: BinaryOperator, a: bigint, b: bigint): bigint {
  if (b === 0n && (operator === '//' || operator === '%')) throw new TemplateError('integer division or modulo by zero');
  switch (operator) {
    case '+':
      return bounded(a + b);
    case '-':
      return bounded(a - b);
    case '*':
      return bounded(a * b);
    case '//': {
      const quotient = a / b;
      return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
    }
    case '%': {
      const rest = a % b;
      return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
    }
    default: {
      const digits = a.toString(2).length;
      if (b * BigInt(digits) > BigInt(MAX_BITS) && a !== 0n && a !== 1n && a !== -1n)
        throw new TemplateError(`a number of more than ${MAX_BITS} bits`);
      return a === 1n || a === 0n || a === -1n ? a ** (b % 2n === 0n ? (b === 0n ? 0n : 2n) : 1n) : a ** b;
    }
  }
}

function bounded(value: bigint): bigint {
  if (value > LIMIT || value < -LIMIT) throw new TemplateError(`a number of more than ${MAX_BITS} bits`);
  return value;
}
const LIMIT = 1n << BigInt(MAX_BITS);
