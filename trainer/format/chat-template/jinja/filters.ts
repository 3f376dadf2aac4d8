/** Jinja's filters for single values, `x|name`. */
import { elementAt } from '../../../narrow.ts';
import { Arguments } from './arguments.ts';
import { ownAttribute } from './attributes.ts';
import { spend, spendItems } from './budget.ts';
import type { Filter } from './filter.ts';
import { formatPercent, roundedFixed } from './format.ts';
import { toJson } from './json.ts';
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { capitalize, center, replaceText, splitLines, stripText } from './string-methods.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { str } from './text.ts';
import {
  codePoints,
  Dict,
  DictView,
  isNumber,
  isTrue,
  joinPoints,
  Markup,
  numeric,
  Once,
  orElse,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

const filter =
  (name: string, parameters: readonly string[], run: (value: Value, args: Arguments) => Value): Filter =>
  (value, args, named) =>
    run(value, new Arguments(name, parameters, args, named));

const byDefault = filter('default', ['default_value', 'boolean'], (value, args) =>
  value instanceof Undefined || (isTrue(args.optional('boolean') ?? false) && !isTrue(value))
    ? args.has('default_value')
      ? args.get('default_value')
      : ''
    : value,
);

/** Filters that produce HTML or random results. */
export const REFUSED_FILTERS: readonly string[] = [
  'e',
  'escape',
  'forceescape',
  'striptags',
  'urlize',
  'urlencode',
  'xmlattr',
  'filesizeformat',
  'random',
  'pprint',
];

export const FILTERS: Readonly<Record<string, Filter>> = {
  ...SEQUENCE_FILTERS,
  default: byDefault,
  d: byDefault,
  abs: filter('abs', [], value => {
    if (!isNumber(value)) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    const number = numeric(value);
    return number < 0 || Object.is(number, -0) ? -number : number;
  }),
  attr: filter('attr', ['name'], (value, args) => orElse(ownAttribute(value, args.text('name')), () => new Undefined(args.text('name')))),
  upper: filter('upper', [], value => str(value).toUpperCase()),
  lower: filter('lower', [], value => str(value).toLowerCase()),
  capitalize: filter('capitalize', [], value => capitalize(str(value))),
  title: filter('title', [], value =>
    str(value)
      .split(/([-\s({[<]+)/u)
      .map(part => (part === '' ? '' : Array.from(part)[0]?.toUpperCase() + Array.from(part).slice(1).join('').toLowerCase()))
      .join(''),
  ),
  trim: filter('trim', ['chars'], (value, args) => stripText(str(value), args.optional('chars'), 'both')),
  string: filter('string', [], value => (value instanceof Markup ? value : str(value))),
  safe: filter('safe', [], value => new Markup(str(value))),
  replace: filter('replace', ['old', 'new', 'count'], (value, args) =>
    replaceText(str(value), args.written('old'), args.written('new'), args.whole('count', -1)),
  ),
  center: filter('center', ['width'], (value, args) => center(str(value), args.whole('width', 80), ' ')),
  format: (value, args, named) => {
    if (args.length > 0 && named.size > 0) throw new TemplateError("can't handle positional and keyword arguments at the same time");
    return formatPercent(str(value), named.size > 0 ? new Dict(named) : new Tuple(args));
  },
  wordcount: filter('wordcount', [], value => {
    spendItems(str(value).length);
    return BigInt((str(value).match(/[\p{L}\p{N}_\p{M}]+/gu) ?? []).length);
  }),
  indent: filter('indent', ['width', 'first', 'blank'], (value, args) => {
    const width = args.optional('width') ?? 4n;
    if (typeof width !== 'string') spend(Math.max(0, args.whole('width', 4)));
    const by = typeof width === 'string' ? width : ' '.repeat(args.whole('width', 4));
    const lines = splitLines(str(value));
    const blank = isTrue(args.optional('blank') ?? false);
    spend(by.length * lines.length);
    const text = lines.map((line, i) => (i > 0 && (blank || line !== '') ? by + line : line)).join('\n');
    return isTrue(args.optional('first') ?? false) ? by + text : text;
  }),
  truncate: filter('truncate', ['length', 'killwords', 'end', 'leeway'], (value, args) => {
    const [length, end] = [args.whole('length', 255), args.text('end', '...')];
    const points = codePoints(str(value));
    if (points.length <= length + args.whole('leeway', 5)) return joinPoints(points);
    const cut = joinPoints(points.slice(0, length - codePoints(end).length));
    return (isTrue(args.optional('killwords') ?? false) ? cut : cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut) + end;
  }),
  wordwrap: () => {
    throw unsupported('the filter wordwrap');
  },
  int: filter('int', ['default', 'base'], (value, args) => {
    const number = toInt(value, args.whole('base', 10));
    return number ?? (args.has('default') ? args.get('default') : 0n);
  }),
  float: filter('float', ['default'], (value, args) => toFloat(value) ?? (args.has('default') ? args.get('default') : 0)),
  round: filter('round', ['precision', 'method'], (value, args) => round(value, args.whole('precision', 0), args.text('method', 'common'))),
  items: filter('items', [], value => {
    if (value instanceof Undefined) return new Once([]);
    if (!(value instanceof Dict)) throw new TemplateError('Can only get item pairs from a mapping.');
    return new Once(new DictView('dict_items', value).items());
  }),
  tojson: filter('tojson', ['ensure_ascii', 'indent', 'separators', 'sort_keys'], (value, args) => {
    const width = args.optional('indent');
    if (width !== undefined && typeof width !== 'string') spend(Math.max(0, args.whole('indent')));
    const indent = width === undefined ? undefined : typeof width === 'string' ? width : ' '.repeat(Math.max(0, args.whole('indent')));
    const given = args.optional('separators');
    const separators =
      given instanceof Tuple ? given.items.map(str) : Array.isArray(given) ? given.map(str) : [indent === undefined ? ', ' : ',', ': '];
    if (separators.length !== 2) throw new TemplateError('tojson needs two separators');
    return toJson(value, {
      ascii: isTrue(args.optional('ensure_ascii') ?? false),
      indent,
      separators: [elementAt(separators, 0), elementAt(separators, 1)],
      sortKeys: isTrue(args.optional('sort_keys') ?? false),
    });
  }),
};

function toInt(value: Value, base: number): bigint | undefined {
  if (isNumber(value)) {
    const number = numeric(value);
    return typeof number === 'bigint' ? number : Number.isFinite(number) ? BigInt(Math.trunc(number)) : undefined;
  }
  if (typeof value !== 'string') return undefined;
  const whole = wholeNumber(stripText(value, undefined, 'both'), base);
  if (whole !== undefined) return whole;
  const real = toFloat(value);
  return real === undefined ? undefined : toInt(real, 10);
}

/** Python's `int(text, base)`. */
function wholeNumber(text: string, base: number): bigint | undefined {
  const found = /^([-+]?)(0[xX]|0[oO]|0[bB])?([\da-zA-Z]+(?:_[\da-zA-Z]+)*)$/.exec(text);
  if (found === null) return undefined;
  const [, sign, prefix = '', digits = ''] = found;
  const prefixBase = { '': base, '0x': 16, '0o': 8, '0b': 2 }[prefix.toLowerCase()] ?? base;
  if (prefix !== '' && base !== prefixBase && base !== 0) return undefined;
  let result = 0n;
  for (const digit of digits.replaceAll('_', '')) {
    const number = Number.parseInt(digit, 36);
    if (number >= (prefixBase === 0 ? 10 : prefixBase)) return undefined;
    result = result * BigInt(prefixBase === 0 ? 10 : prefixBase) + BigInt(number);
    spend(digits.length);
  }
  return sign === '-' ? -result : result;
}

function toFloat(value: Value): number | undefined {
  if (isNumber(value)) return Number(numeric(value));
  if (typeof value !== 'string') return undefined;
  const text = stripText(value, undefined, 'both').toLowerCase();
  const named = /^([-+]?)(inf|infinity|nan)$/.exec(text);
  if (named !== null) return (named[1] === '-' ? -1 : 1) * (named[2] === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY);
  return /^[-+]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+)?$/.test(text)
    ? Number(text.replaceAll('_', ''))
    : undefined;
}

function round(value: Value, precision: number, method: string): Value {
  if (!isNumber(value)) throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`);
  const number = numeric(value);
  if (Math.abs(precision) > 100) throw unsupported('rounding to more than 100 digits');
  if (method === 'ceil' || method === 'floor') {
    const scale = 10 ** precision;
    return Math[method](Number(number) * scale) / scale;
  }
  if (method !== 'common') throw new TemplateError('method must be common, ceil or floor');
  if (typeof number === 'bigint') return precision >= 0 ? number : roundWhole(number, -precision);
  if (!Number.isFinite(number)) return number;
  if (precision < 0) return Number(roundWhole(BigInt(Math.trunc(number)), -precision, number - Math.trunc(number)));
  return Number((number < 0 ? '-' : '') + roundedFixed(Math.abs(number), precision));
}

/** Rounds to a power of ten with this many zeros, half to even. @param rest the fractional part */
function roundWhole(value: bigint, zeros: number, rest = 0): bigint {
  const unit = 10n ** BigInt(zeros);
  const size = value < 0n ? -value : value;
  const twice = 2n * (size % unit);
  const floor = size / unit;
  const up = twice > unit || (twice === unit && (rest !== 0 || floor % 2n === 1n));
  const rounded = (floor + (up ? 1n : 0n)) * unit;
  return value < 0n ? -rounded : rounded;
}
