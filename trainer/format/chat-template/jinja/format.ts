/** Python's two string formatting methods: `%` and `format`. */
import { elementAt } from '../../../narrow.ts';
import { spend, spendItems } from './budget.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { repr, reprFloat, str } from './text.ts';
import { codePoints, Dict, isNumber, numeric, Tuple, typeName, type Value } from './values.ts';

/** `"%s is %05.2f" % (…)`. */
export function formatPercent(template: string, args: Value): string {
  const list = args instanceof Tuple ? args.items : undefined;
  let used = 0;
  let whole = false;
  spendItems(template.length);
  const take = (): Value => {
    if (list === undefined) {
      if (whole) throw new TemplateError('not enough arguments for format string');
      whole = true;
      return args;
    }
    if (used >= list.length) throw new TemplateError('not enough arguments for format string');
    return elementAt(list, used++);
  };
  const named = (key: string): Value | undefined => {
    if (!(args instanceof Dict)) throw new TemplateError('format requires a mapping');
    return args.get(key);
  };
  const text = template.replace(
    /%(?:\(([^)]{0,64})\))?([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?([\s\S]?)/gu,
    (_, key: string | undefined, flags: string, width: string, precision: string | undefined, kind: string) => {
      if (kind === '%') return '%';
      if (width === '*' || precision === '*') throw unsupported('a width from the arguments of %');
      const value = key === undefined ? take() : named(key);
      if (key !== undefined) whole = true;
      if (value === undefined) throw new TemplateError(`'${key}'`);
      const left = flags.includes('-');
      const options = {
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '',
        alternate: flags.includes('#'),
        precision: precision === undefined ? undefined : Number(precision || 0),
      };
      const inner = percentText(kind, value, options);
      const fill = flags.includes('0') && !left && 'diufFeEgGxXo'.includes(kind) ? '0' : ' ';
      return padded(inner, Number(width || 0), left ? '<' : fill === '0' ? '=' : '>', fill);
    },
  );
  if (list !== undefined ? used < list.length : !whole && !(args instanceof Dict) && !Array.isArray(args))
    throw new TemplateError('not all arguments converted during string formatting');
  spend(text.length);
  return text;
}

interface NumberOptions {
  readonly sign: string;
  readonly alternate: boolean;
  readonly precision: number | undefined;
}

function percentText(kind: string, value: Value, options: NumberOptions): string {
  spend(options.precision);
  if (kind === 's' || kind === 'r')
    return Array.from(kind === 's' ? str(value) : repr(value))
      .slice(0, options.precision)
      .join('');
  if (kind === 'c') {
    if (typeof value === 'string' && Array.from(value).length === 1) return value;
    if (typeof value === 'bigint') return String.fromCodePoint(Number(value));
    throw new TemplateError('%c requires an int or a unicode character');
  }
  if (!isNumber(value)) throw new TemplateError(`%${kind} format: a real number is required, not ${typeName(value)}`);
  if ('diu'.includes(kind))
    return signed(BigInt(Math.trunc(Number(numeric(value)))) === numeric(value) ? numeric(value) : truncated(value), options, whole =>
      whole.toString().padStart(options.precision ?? 0, '0'),
    );
  return numberText(kind, value, options);
}

const truncated = (value: number | bigint | boolean): bigint => (typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value))));

function signed(value: number | bigint, { sign }: NumberOptions, text: (positive: bigint) => string): string {
  const number = BigInt(value);
  return (number < 0n ? '-' : sign) + text(number < 0n ? -number : number);
}

/** @param kind `f`, `e`, `g`, `x`, `o`, `b`, or their capitals */
function numberText(kind: string, value: number | bigint | boolean, options: NumberOptions): string {
  const number = numeric(value);
  const base = { x: 16, X: 16, o: 8, b: 2 }[kind];
  if (base !== undefined) {
    if (typeof number !== 'bigint') throw new TemplateError(`%${kind} format: an integer is required, not float`);
    const prefix = options.alternate ? `0${kind}` : '';
    const text = signed(number, options, positive => prefix + positive.toString(base));
    return kind === 'X' ? text.toUpperCase() : text;
  }
  if (!['f', 'F', 'e', 'E'].includes(kind)) throw unsupported(`the format %${kind}`);
  const float = Number(number);
  const precision = options.precision ?? 6;
  if (precision > 100) throw unsupported('more than 100 digits');
  const size = Math.abs(float);
  const digits = !Number.isFinite(size)
    ? reprFloat(size)
    : kind.toLowerCase() === 'f'
      ? roundedFixed(size, precision)
      : exponential(size, precision);
  const text = (float < 0 || Object.is(float, -0) ? '-' : options.sign) + digits;
  return kind === kind.toUpperCase() ? text.toUpperCase() : text;
}

const exponential = (value: number, precision: number): string => value.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');

/** Rounds to the nearest decimal, half to even; JavaScript rounds half up. */
export function roundedFixed(value: number, digits: number): string {
  if (value >= 1e21) return BigInt(value).toString() + (digits > 0 ? `.${'0'.repeat(digits)}` : '');
  const up = value.toFixed(digits);
  const exact = value.toFixed(Math.min(100, digits + 60));
  const rest = exact.slice(exact.indexOf('.') + 1 + digits);
  if (!/^50*$/.test(rest)) return up;
  const down = digits === 0 ? exact.slice(0, exact.indexOf('.')) : exact.slice(0, exact.indexOf('.') + 1 + digits);
  return Number(down.at(-1)) % 2 === 0 ? down : up;
}

/** @param align `<` left, `>` right, `^` center, `=` after the sign */
function padded(text: string, width: number, align: string, fill: string): string {
  spend(width);
  const missing = width - codePoints(text).length;
  if (missing <= 0) return text;
  if (align === '<') return text + fill.repeat(missing);
  if (align === '^') return fill.repeat(Math.floor(missing / 2)) + text + fill.repeat(Math.ceil(missing / 2));
  const sign = align === '=' ? (/^[-+ ]/.exec(text)?.[0] ?? '') : '';
  return sign + fill.repeat(missing) + text.slice(sign.length);
}

/** `"{} {name:>5}".format(…)`. @param lookUp finds an attribute or item of a value */
export function formatBraces(
  template: string,
  args: readonly Value[],
  named: ReadonlyMap<string, Value>,
  lookUp: (of: Value, name: string, item: boolean) => Value,
): string {
  let automatic = 0;
  const text = template.replace(
    /\{\{|\}\}|\{([^{}!:]*)(?:!([^{}:]*))?(?::([^{}]*))?\}|[{}]/g,
    (found, field?: string, conversion?: string, spec = '') => {
      if (found === '{{' || found === '}}') return found.charAt(0);
      if (field === undefined) throw new TemplateError(`the format has a single "${found}"`);
      const [first = '', ...path] = field.split(/(?=[.[])/);
      const value = first === '' ? args[automatic++] : /^\d+$/.test(first) ? args[Number(first)] : named.get(first);
      if (value === undefined) throw new TemplateError(`the format has no argument ${first === '' ? automatic - 1 : first}`);
      const reached = path.reduce(
        (of, step) => (step.startsWith('.') ? lookUp(of, step.slice(1), false) : lookUp(of, step.slice(1).replace(/\]$/, ''), true)),
        value,
      );
      if (conversion !== undefined && !['s', 'r'].includes(conversion)) throw unsupported(`the conversion !${conversion}`);
      return formatSpec(conversion === 'r' ? repr(reached) : conversion === 's' ? str(reached) : reached, spec);
    },
  );
  spend(text.length);
  return text;
}

function formatSpec(value: Value, spec: string): string {
  if (spec === '') return str(value);
  const found = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u.exec(spec);
  if (found === null) throw unsupported(`the format ${JSON.stringify(spec)}`);
  const [, fill, align, sign = '-', alternate, zero, width = '0', group, precision, kind] = found;
  const options = {
    sign: sign === '-' ? '' : sign,
    alternate: alternate !== undefined,
    precision: precision === undefined ? undefined : Number(precision),
  };
  const place = (text: string, natural: string): string =>
    padded(text, Number(width), align ?? (zero === undefined ? natural : '='), fill ?? zero ?? ' ');
  if (typeof value === 'string') {
    if ((kind ?? 's') !== 's' || sign !== '-' || group !== undefined)
      throw new TemplateError(`Unknown format code '${kind}' for object of type 'str'`);
    return place(Array.from(value).slice(0, options.precision).join(''), '<');
  }
  if (!isNumber(value)) throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  const number = numeric(value);
  const grouped = (text: string): string =>
    group === undefined
      ? text
      : text.replace(/^([-+ ]?)(\d+)/, (_, s: string, digits: string) => s + digits.replace(/\B(?=(\d{3})+$)/g, group));
  if (kind === '%') return place(`${numberText('f', Number(number) * 100, options)}%`, '>');
  if (kind === 'd' || (kind === undefined && typeof number === 'bigint')) {
    if (typeof number !== 'bigint') throw new TemplateError("Unknown format code 'd' for object of type 'float'");
    return place(grouped(signed(number, options, positive => positive.toString())), '>');
  }
  if (kind === undefined) throw unsupported(`the format ${JSON.stringify(spec)} of a float`);
  return place(grouped(numberText(kind, number, options)), '>');
}
