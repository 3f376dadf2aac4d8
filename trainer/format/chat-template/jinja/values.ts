/** The values of a template, which have Python's types: int is a bigint, float a number, str a string, list an array. */
import { spend, spendItems } from './budget.ts';
import { TemplateError } from './template-error.ts';

export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Undefined
  | readonly Value[]
  | Tuple
  | Dict
  | DictView
  | Range
  | Once
  | Namespace
  | Markup
  | Callable
  | Fields;

/** The value of a name or key that does not exist: empty when written, an error in most other uses. */
export class Undefined {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** A dict with its keys in insertion order; 1, 1.0 and true are the same key. */
export class Dict {
  private readonly byKey = new Map<string, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) {
      const id = keyOf(key);
      this.byKey.set(id, [this.byKey.get(id)?.[0] ?? key, value]);
    }
  }

  get size(): number {
    return this.byKey.size;
  }
  get(key: Value): Value | undefined {
    return this.byKey.get(keyOf(key))?.[1];
  }
  has(key: Value): boolean {
    return this.byKey.has(keyOf(key));
  }
  entries(): ReadonlyArray<readonly [Value, Value]> {
    spendItems(this.size);
    return [...this.byKey.values()];
  }
}

export class DictView {
  readonly kind: 'dict_keys' | 'dict_values' | 'dict_items';
  readonly dict: Dict;

  constructor(kind: 'dict_keys' | 'dict_values' | 'dict_items', dict: Dict) {
    this.kind = kind;
    this.dict = dict;
  }

  items(): readonly Value[] {
    const entries = this.dict.entries();
    if (this.kind === 'dict_items') return entries.map(([key, value]) => new Tuple([key, value]));
    return entries.map(entry => entry[this.kind === 'dict_keys' ? 0 : 1]);
  }
}

export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;

  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }

  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }
  items(): readonly Value[] {
    spendItems(this.length);
    return Array.from({ length: this.length }, (_, i) => BigInt(this.start + i * this.step));
  }
}

/** A generator: its items are produced on demand, once. */
export class Once {
  private readonly iterator: Iterator<Value>;

  constructor(items: Iterable<Value>) {
    this.iterator = items[Symbol.iterator]();
  }

  /** Returns the next item; undefined at the end. */
  next(): Value | undefined {
    spend();
    const { done, value } = this.iterator.next();
    return done === true ? undefined : value;
  }
  *[Symbol.iterator](): Generator<Value> {
    for (let item = this.next(); item !== undefined; item = this.next()) yield item;
  }
}

export class Namespace {
  readonly fields = new Map<string, Value>();
}

/** Text marked as safe HTML. It is like other text, except that text joined to it by `+` is escaped. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Call = (args: readonly Value[], named: ReadonlyMap<string, Value>) => Value;

export class Callable {
  readonly name: string;
  readonly call: Call;
  /** Returns attributes that a template may read (`loop.index`, `macro.name`). */
  readonly fields: (name: string) => Value | undefined;
  /** Its text when written; undefined if Python would write an address. */
  readonly text: string | undefined;

  constructor(name: string, call: Call, fields: (name: string) => Value | undefined = () => undefined, text?: string) {
    this.name = name;
    this.call = call;
    this.fields = fields;
    this.text = text;
  }
}

/** A tuple whose items are also attributes (the groups of `groupby` have two). */
export class Fields extends Tuple {
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[]) {
    super(items);
    this.names = names;
  }
}

export const isNumber = (value: Value): value is number | bigint | boolean =>
  typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean';

/** The value as a number; a boolean is a number too. */
export const numeric = (value: number | bigint | boolean): number | bigint => (typeof value === 'boolean' ? (value ? 1n : 0n) : value);

/** @throws TemplateError for values that Python cannot hash */
export function keyOf(key: Value): string {
  if (key instanceof Markup) return keyOf(key.text);
  spend(typeof key === 'string' ? key.length : 0);
  if (typeof key === 'string') return `s${key}`;
  if (isNumber(key)) {
    const number = numeric(key);
    return `n${typeof number === 'number' && Number.isInteger(number) ? BigInt(number) : number}`;
  }
  if (key === null) return 'none';
  if (key instanceof Undefined) return 'undefined';
  if (key instanceof Tuple) return `(${key.items.map(item => JSON.stringify(keyOf(item))).join()})`;
  throw new TemplateError(`unhashable type: '${typeName(key)}'`);
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'boolean') return 'bool';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof DictView) return value.kind;
  if (value instanceof Range) return 'range';
  if (value instanceof Once) return 'generator';
  if (value instanceof Namespace) return 'Namespace';
  return value instanceof Markup ? 'Markup' : 'function';
}

/** The value, or the alternative if it is undefined. Unlike `??`, it keeps null, which is Python's None. */
export const orElse = <Other extends Value | undefined>(value: Value | undefined, other: () => Other): Value | Other =>
  value === undefined ? other() : value;

/** Converts a caller's JSON value; whole numbers become int, unless they are in a `Number` object. @throws TemplateError for other values */
export function toValue(value: unknown, depth = 0): Value {
  if (depth > 200) throw new TemplateError('a variable is nested more than 200 deep');
  if (value === undefined) return new Undefined('');
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (value instanceof Number) return value.valueOf();
  if (Array.isArray(value)) return value.map(item => toValue(item, depth + 1));
  if (value instanceof Callable) return value;
  if (typeof value === 'object')
    return new Dict(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => [key, toValue(item, depth + 1)] as const),
    );
  throw new TemplateError(`a variable has a value of the type ${typeof value}`);
}

/** @throws TemplateError for values that cannot be iterated */
export function itemsOf(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Markup) return itemsOf(value.text);
  if (typeof value === 'string') {
    spendItems(value.length);
    return Array.from(value);
  }
  if (value instanceof Undefined) return [];
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.entries().map(([key]) => key);
  if (value instanceof DictView || value instanceof Range) return value.items();
  if (value instanceof Once) return [...value];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return value !== '';
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof DictView) return value.dict.size > 0;
  if (value instanceof Range) return value.length > 0;
  return value instanceof Markup ? value.text !== '' : true;
}

/** @throws TemplateError for values without a length */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value).length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Range) return value.length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Markup) return codePoints(value.text).length;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** The characters of a text as Python counts them: code points, not UTF-16 units. */
export function codePoints(text: string): string | readonly string[] {
  spend(text.length);
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}
export const joinPoints = (points: string | readonly string[]): string => (typeof points === 'string' ? points : points.join(''));
