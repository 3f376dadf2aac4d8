/** Jinja's filters for lists. */
import { elementAt } from '../../../narrow.ts';
import { Arguments } from './arguments.ts';
import { item } from './attributes.ts';
import { spend, spendItems } from './budget.ts';
import type { Filter, FilterContext } from './filter.ts';
import { binary, equal, order } from './operators.ts';
import { TemplateError } from './template-error.ts';
import { str } from './text.ts';
import { Dict, Fields, isTrue, itemsOf, keyOf, lengthOf, Once, orElse, Tuple, Undefined, type Value } from './values.ts';

type Run = (value: Value, args: Arguments, context: FilterContext) => Value;
const filter =
  (name: string, parameters: readonly string[], run: Run): Filter =>
  (value, args, named, context) =>
    run(value, new Arguments(name, parameters, args, named), context);

/** Returns a function that reads the path `a.b.0` from a value; several paths, separated by commas, give a list. */
function getter(
  path: Value | undefined,
  { fallback, ignoreCase = false }: { fallback?: Value | undefined; ignoreCase?: boolean } = {},
): (value: Value) => Value {
  const parts =
    path === undefined ? [] : typeof path === 'string' ? path.split('.').map(part => (/^\d+$/.test(part) ? BigInt(part) : part)) : [path];
  return value => {
    let result = value;
    for (const part of parts) {
      result = item(result, part);
      if (fallback !== undefined && result instanceof Undefined) result = fallback;
    }
    return ignoreCase && typeof result === 'string' ? result.toLowerCase() : result;
  };
}

/** Returns the items lazily: a generator is not consumed in advance. */
const lazyItems = (value: Value): Iterable<Value> => (value instanceof Once ? value : itemsOf(value));

/** Treats None and other false values as empty, for `map`, `select` and `reject`. */
const orNothing = (value: Value): Value => (isTrue(value) ? value : []);

function* mapped(value: Value, change: (part: Value) => Value): Generator<Value> {
  for (const part of lazyItems(orNothing(value))) yield change(part);
}

function* kept(value: Value, holds: (part: Value) => boolean): Generator<Value> {
  for (const part of lazyItems(value)) if (holds(part)) yield part;
}

/** Sorts stably. */
function sorted(values: readonly Value[], key: (value: Value) => Value, reverse: boolean): readonly Value[] {
  const keyed = values.map(value => [key(value), value] as const);
  spend(values.length * 8);
  const sign = reverse ? -1 : 1;
  return keyed.sort((a, b) => sign * order(a[0], b[0])).map(([, value]) => value);
}

const most = (name: string, sign: 1 | -1): Filter =>
  filter(name, ['case_sensitive', 'attribute'], (value, args) => {
    const key = getter(args.optional('attribute'), { ignoreCase: !isTrue(args.optional('case_sensitive') ?? false) });
    const [first, ...others] = itemsOf(value);
    if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
    return others.reduce((best, other) => (sign * order(key(other), key(best)) > 0 ? other : best), first);
  });

const length = filter('length', [], value => BigInt(lengthOf(value)));

/** `select`, `reject`, and their two variants that test an attribute. */
const selecting =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, args, named, context) => {
    if (named.size > 0) throw new TemplateError('select takes no named arguments');
    const path = byAttribute ? args[0] : undefined;
    const others = byAttribute ? args.slice(1) : args;
    if (byAttribute && path === undefined) throw new TemplateError('Missing parameter for attribute name');
    const get = getter(path);
    const [name, ...rest] = others;
    const holds = (candidate: Value): boolean => (name === undefined ? isTrue(candidate) : context.test(str(name), candidate, rest));
    return new Once(kept(orNothing(value), candidate => holds(get(candidate)) === wanted));
  };

export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  length,
  count: length,
  first: filter('first', [], value =>
    orElse(value instanceof Once ? value.next() : itemsOf(value)[0], () => new Undefined('No first item, sequence was empty.')),
  ),
  last: filter('last', [], value => {
    if (value instanceof Once) throw new TemplateError("'generator' object is not reversible");
    return orElse(itemsOf(value).at(-1), () => new Undefined('No last item, sequence was empty.'));
  }),
  list: filter('list', [], value => [...itemsOf(value)]),
  reverse: filter('reverse', [], value => {
    const items = itemsOf(value).toReversed();
    return typeof value === 'string' ? items.join('') : new Once(items);
  }),
  join: filter('join', ['d', 'attribute'], (value, args) => {
    const get = getter(args.optional('attribute'));
    const text = itemsOf(value)
      .map(part => str(get(part)))
      .join(args.has('d') ? args.written('d') : '');
    spend(text.length);
    return text;
  }),
  sum: filter('sum', ['attribute', 'start'], (value, args) => {
    const get = getter(args.optional('attribute'));
    return itemsOf(value).reduce<Value>((total, part) => binary('+', total, get(part)), args.optional('start') ?? 0n);
  }),
  min: most('min', -1),
  max: most('max', 1),
  sort: filter('sort', ['reverse', 'case_sensitive', 'attribute'], (value, args) => {
    const ignoreCase = !isTrue(args.optional('case_sensitive') ?? false);
    const path = args.optional('attribute');
    const getters = typeof path === 'string' ? path.split(',').map(part => getter(part, { ignoreCase })) : [getter(path, { ignoreCase })];
    // Keys are compared as lists, as in Python, so equal items, including None, need no order.
    return sorted(itemsOf(value), part => getters.map(get => get(part)), isTrue(args.optional('reverse') ?? false));
  }),
  dictsort: filter('dictsort', ['case_sensitive', 'by', 'reverse'], (value, args) => {
    if (!(value instanceof Dict)) throw new TemplateError('dictsort needs a mapping');
    const by = args.text('by', 'key');
    if (by !== 'key' && by !== 'value') throw new TemplateError('You can only sort by either "key" or "value"');
    const get = getter(BigInt(by === 'key' ? 0 : 1), { ignoreCase: !isTrue(args.optional('case_sensitive') ?? false) });
    const pairs = value.entries().map(([key, own]) => new Tuple([key, own]));
    return sorted(pairs, get, isTrue(args.optional('reverse') ?? false));
  }),
  unique: filter('unique', ['case_sensitive', 'attribute'], (value, args) => {
    const get = getter(args.optional('attribute'), { ignoreCase: !isTrue(args.optional('case_sensitive') ?? false) });
    const seen = new Set<string>();
    return new Once(
      kept(value, part => {
        const key = keyOf(get(part));
        const isNew = !seen.has(key);
        seen.add(key);
        return isNew;
      }),
    );
  }),
  map: (value, args, named, context) => {
    if (args.length === 0 && named.has('attribute')) {
      const options = new Arguments('map', ['attribute', 'default'], [], named);
      return new Once(
        mapped(value, getter(options.get('attribute'), { fallback: options.has('default') ? options.get('default') : undefined })),
      );
    }
    const [name, ...rest] = args;
    if (name === undefined) throw new TemplateError('map requires a filter argument');
    return new Once(mapped(value, part => context.filter(str(name), part, rest, named)));
  },
  select: selecting(true, false),
  reject: selecting(false, false),
  selectattr: selecting(true, true),
  rejectattr: selecting(false, true),
  groupby: filter('groupby', ['attribute', 'default', 'case_sensitive'], (value, args) => {
    const caseful = isTrue(args.optional('case_sensitive') ?? false);
    const fallback = args.optional('default');
    const [get, shown] = [getter(args.get('attribute'), { fallback, ignoreCase: !caseful }), getter(args.get('attribute'), { fallback })];
    const groups: Array<{ readonly key: Value; readonly items: Value[] }> = [];
    for (const part of sorted(itemsOf(value), get, false)) {
      const key = get(part);
      const last = groups.at(-1);
      if (last !== undefined && equal(last.key, key)) last.items.push(part);
      else groups.push({ key, items: [part] });
    }
    return groups.map(({ items }) => new Fields([shown(elementAt(items, 0)), items], ['grouper', 'list']));
  }),
  batch: filter('batch', ['linecount', 'fill_with'], (value, args) => {
    const size = args.whole('linecount');
    const fill = args.optional('fill_with');
    if (size < 1) throw new TemplateError('batch needs a size of at least 1');
    const items = itemsOf(value);
    if (fill !== undefined) spendItems(size);
    const rows = Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
    return new Once(rows.map(row => (fill === undefined ? row : [...row, ...Array.from({ length: size - row.length }, () => fill)])));
  }),
  slice: filter('slice', ['slices', 'fill_with'], (value, args) => {
    const count = args.whole('slices');
    const fill = args.optional('fill_with');
    if (count < 1) throw new TemplateError('slice needs at least one slice');
    spendItems(count);
    const items = itemsOf(value);
    const [each, extra] = [Math.floor(items.length / count), items.length % count];
    const rows = Array.from({ length: count }, (_, i) => {
      const from = i * each + Math.min(i, extra);
      const row = items.slice(from, from + each + (i < extra ? 1 : 0));
      return fill !== undefined && i >= extra ? [...row, fill] : row;
    });
    return new Once(rows);
  }),
};
