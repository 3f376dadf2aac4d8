/** `a.b`, `a["b"]` and slices, as in the sandbox that Transformers uses: methods that modify a value do not exist. */
import { elementAt } from '../../../narrow.ts';
import { Arguments } from './arguments.ts';
import { spend } from './budget.ts';
import { formatBraces } from './format.ts';
import { equal } from './operators.ts';
import { stringMethod } from './string-methods.ts';
import { TemplateError, unsupported } from './template-error.ts';
import {
  Callable,
  codePoints,
  Dict,
  DictView,
  Fields,
  isNumber,
  joinPoints,
  Markup,
  Namespace,
  numeric,
  orElse,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Looks up Python's attribute first, then the key of that name. */
export function attribute(of: Value, name: string): Value {
  return orElse(ownAttribute(of, name), () => orElse(itemOrUndefined(of, name), () => missing(of, name)));
}

/** Looks up the key first, then Python's attribute of that name. */
export function item(of: Value, key: Value): Value {
  const own = (): Value | undefined => (typeof key === 'string' ? ownAttribute(of, key) : undefined);
  return orElse(orElse(itemOrUndefined(of, key), own), () => missing(of, key));
}

function missing(of: Value, key: Value): Undefined {
  if (of instanceof Undefined) throw new TemplateError(`'${of.name}' is undefined`);
  return new Undefined(typeof key === 'string' ? key : typeof key === 'bigint' ? String(key) : typeName(key));
}

/** An attribute as found by `|attr`. */
export function ownAttribute(of: Value, name: string): Value | undefined {
  if (name.startsWith('_')) return undefined;
  if (typeof of === 'string') return textAttribute(of, name);
  if (of instanceof Callable) return of.fields(name);
  if (of instanceof Namespace) return of.fields.get(name);
  if (of instanceof Dict) return bound(name, DICT_METHODS[name], of);
  if (of instanceof Fields && of.names.includes(name)) return of.items[of.names.indexOf(name)];
  if (Array.isArray(of) || of instanceof Tuple || of instanceof Range) return bound(name, LIST_METHODS[name], of);
  if (of instanceof Markup) throw unsupported('the result of |safe in an expression');
  if (isNumber(of) && NUMBER_ATTRIBUTES.includes(name)) throw unsupported(`the attribute ${name} of a number`);
  return undefined;
}

const NUMBER_ATTRIBUTES: readonly string[] = [
  'real',
  'imag',
  'numerator',
  'denominator',
  'conjugate',
  'bit_length',
  'bit_count',
  'as_integer_ratio',
  'is_integer',
  'hex',
  'to_bytes',
  'from_bytes',
  'fromhex',
];

function textAttribute(of: string, name: string): Value | undefined {
  if (name === 'format') return new Callable(name, (args, named) => formatBraces(of, args, named, formatStep));
  const method = stringMethod(name);
  if (method === undefined) return undefined;
  return new Callable(name, (args, named) => {
    spend(of.length);
    return method(of, args, named);
  });
}

const formatStep = (of: Value, name: string, isItem: boolean): Value =>
  isItem ? item(of, /^\d+$/.test(name) ? BigInt(name) : name) : attribute(of, name);

function bound<T extends Value>(
  name: string,
  method: ((self: T, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value) | undefined,
  self: T,
): Value | undefined {
  return method === undefined ? undefined : new Callable(name, (args, named) => method(self, args, named));
}

const view = (kind: DictView['kind']) => (self: Dict) => new DictView(kind, self);

const DICT_METHODS: Readonly<Record<string, (self: Dict, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value>> = {
  items: view('dict_items'),
  keys: view('dict_keys'),
  values: view('dict_values'),
  copy: self => new Dict(self.entries()),
  get: (self, args, named) => {
    const given = new Arguments('get', ['key', 'default'], args, named);
    return orElse(self.get(given.get('key')), () => given.optional('default') ?? null);
  },
};

function listItems(value: Value): readonly Value[] {
  if (value instanceof Tuple) return value.items;
  if (value instanceof Range) return value.items();
  if (Array.isArray(value)) return value;
  throw new TypeError(`a ${typeName(value)} has no methods of a list`);
}

const LIST_METHODS: Readonly<Record<string, (self: Value, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value>> = {
  count: (self, args, named) => {
    const wanted = new Arguments('count', ['value'], args, named).get('value');
    return BigInt(listItems(self).filter(value => equal(value, wanted)).length);
  },
  index: (self, args, named) => {
    const wanted = new Arguments('index', ['value'], args, named).get('value');
    const at = listItems(self).findIndex(value => equal(value, wanted));
    if (at < 0) throw new TemplateError('the value is not in the list');
    return BigInt(at);
  },
  copy: self => listItems(self),
};

function itemOrUndefined(of: Value, key: Value): Value | undefined {
  spend();
  if (of instanceof Dict) return isHashable(key) ? of.get(key) : undefined;
  if (of instanceof Undefined || typeof key === 'number' || !isNumber(key)) return undefined;
  const at = Number(numeric(key));
  if (typeof of === 'string') return codePoints(of).at(at);
  if (of instanceof Markup) {
    const found = codePoints(of.text).at(at);
    return found === undefined ? undefined : new Markup(found);
  }
  if (Array.isArray(of)) return of.at(at);
  if (of instanceof Tuple) return of.items.at(at);
  return of instanceof Range ? of.items().at(at) : undefined;
}

const isHashable = (key: Value): boolean => !(Array.isArray(key) || key instanceof Dict);

/** @throws TemplateError for values that cannot be sliced */
export function slice(of: Value, parts: readonly [Value, Value, Value]): Value {
  if (of instanceof Undefined) throw new TemplateError(`'${of.name}' is undefined`);
  const [start, stop, step] = parts.map(part => {
    if (part === null) return undefined;
    if (!isNumber(part) || typeof part === 'number') throw new TemplateError('slice indices must be integers or None');
    return Number(numeric(part));
  });
  if (step === 0) throw new TemplateError('slice step cannot be zero');
  if (typeof of === 'string') {
    const points = codePoints(of);
    return joinPoints(pick(points, start, stop, step ?? 1));
  }
  if (of instanceof Markup) return new Markup(String(slice(of.text, parts)));
  if (Array.isArray(of)) return pick(of, start, stop, step ?? 1);
  if (of instanceof Tuple) return new Tuple(pick(of.items, start, stop, step ?? 1));
  if (of instanceof Range) {
    const by = step ?? 1;
    const [from, to] = bounds(of.length, start, stop, by);
    return new Range(of.start + from * of.step, of.start + to * of.step, of.step * by);
  }
  // As in Jinja, slicing such a value gives undefined.
  return new Undefined('slice');
}

/** The bounds of a slice, as in Python. */
function bounds(length: number, start: number | undefined, stop: number | undefined, step: number): [number, number] {
  const inside = (at: number): number => (at < 0 ? Math.max(step < 0 ? -1 : 0, at + length) : Math.min(step < 0 ? length - 1 : length, at));
  const from = start === undefined ? (step < 0 ? length - 1 : 0) : inside(start);
  const to = stop === undefined ? (step < 0 ? -1 : length) : inside(stop);
  return [from, to];
}

function pick<T>(items: readonly T[], start: number | undefined, stop: number | undefined, step: number): readonly T[];
function pick<T>(items: string | readonly T[], start: number | undefined, stop: number | undefined, step: number): string | readonly T[];
function pick<T>(items: string | readonly T[], start: number | undefined, stop: number | undefined, step: number): string | readonly T[] {
  const [from, to] = bounds(items.length, start, stop, step);
  spend(Math.abs(to - from));
  if (step === 1) return items.slice(from, Math.max(from, to));
  const at: number[] = [];
  for (let i = from; step < 0 ? i > to : i < to; i += step) at.push(i);
  return typeof items === 'string' ? at.map(i => items.charAt(i)).join('') : at.map(i => elementAt(items, i));
}
