/** The methods of Python's `str`. */
import { elementAt } from '../../../narrow.ts';
import { Arguments } from './arguments.ts';
import { spend, spendItems } from './budget.ts';
import { LEADING_SPACE, ONLY_SPACE, SPACES, withoutTrailingSpace } from './lexer.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { codePoints, itemsOf, joinPoints, Tuple, typeName, type Value } from './values.ts';

type Method = (self: string, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value;

const method =
  (name: string, parameters: readonly string[], run: (self: string, args: Arguments) => Value): Method =>
  (self, args, named) =>
    run(self, new Arguments(name, parameters, args, named));
const plain = (name: string, run: (self: string) => Value): Method => method(name, [], run);
/** Tests that the text is not empty and every character belongs to a class. */
const every = (name: string, pattern: RegExp): Method => plain(name, self => self !== '' && Array.from(self).every(c => pattern.test(c)));

const METHODS: Readonly<Record<string, Method>> = {
  upper: plain('upper', self => self.toUpperCase()),
  lower: plain('lower', self => self.toLowerCase()),
  swapcase: plain('swapcase', self => Array.from(self, c => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())).join('')),
  title: plain('title', self => self.replace(/\p{Cased}\p{L}*|\p{Cased}/gu, word => capitalize(word))),
  capitalize: plain('capitalize', capitalize),
  strip: method('strip', ['chars'], (self, args) => stripText(self, args.optional('chars'), 'both')),
  lstrip: method('lstrip', ['chars'], (self, args) => stripText(self, args.optional('chars'), 'left')),
  rstrip: method('rstrip', ['chars'], (self, args) => stripText(self, args.optional('chars'), 'right')),
  split: method('split', ['sep', 'maxsplit'], (self, args) => split(self, args, false)),
  rsplit: method('rsplit', ['sep', 'maxsplit'], (self, args) => split(self, args, true)),
  splitlines: method('splitlines', ['keepends'], (self, args) => {
    const keep = args.optional('keepends') === true;
    const lines = self.match(LINES) ?? [];
    spendItems(lines.length);
    return keep ? lines : lines.map(line => line.replace(LINE_END, ''));
  }),
  startswith: method('startswith', ['prefix', 'start', 'end'], (self, args) =>
    affix(self, args, 'prefix', (text, part) => text.startsWith(part)),
  ),
  endswith: method('endswith', ['prefix', 'start', 'end'], (self, args) =>
    affix(self, args, 'prefix', (text, part) => text.endsWith(part)),
  ),
  replace: method('replace', ['old', 'new', 'count'], (self, args) =>
    replaceText(self, args.text('old'), args.text('new'), args.whole('count', -1)),
  ),
  find: method('find', ['sub', 'start', 'end'], (self, args) => BigInt(find(self, args, false))),
  rfind: method('rfind', ['sub', 'start', 'end'], (self, args) => BigInt(find(self, args, true))),
  index: method('index', ['sub', 'start', 'end'], (self, args) => BigInt(found(find(self, args, false)))),
  rindex: method('rindex', ['sub', 'start', 'end'], (self, args) => BigInt(found(find(self, args, true)))),
  count: method('count', ['sub', 'start', 'end'], (self, args) => {
    const part = part0(self, args);
    const sub = args.text('sub');
    return BigInt(sub === '' ? codePoints(part).length + 1 : part.split(sub).length - 1);
  }),
  join: method('join', ['iterable'], (self, args) => {
    const parts = itemsOf(args.get('iterable')).map((item, i) => {
      if (typeof item !== 'string') throw new TemplateError(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
      return item;
    });
    const text = parts.join(self);
    spend(text.length);
    return text;
  }),
  isalpha: every('isalpha', /^\p{L}$/u),
  isalnum: every('isalnum', /^[\p{L}\p{N}]$/u),
  isdecimal: every('isdecimal', /^\p{Nd}$/u),
  isdigit: every(
    'isdigit',
    /^[\p{Nd}\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]$/u,
  ),
  isnumeric: every('isnumeric', /^\p{N}$/u),
  isspace: plain('isspace', self => self !== '' && ONLY_SPACE.test(self)),
  isascii: plain('isascii', self => !/[^\0-\x7f]/.test(self)),
  isupper: plain('isupper', self => isUpper(self)),
  islower: plain('islower', self => isLower(self)),
  istitle: plain('istitle', self => /\p{Cased}/u.test(self) && self === METHODS.title?.(self, [], new Map())),
  isidentifier: plain('isidentifier', self => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(self)),
  isprintable: plain('isprintable', self => Array.from(self).every(c => c === ' ' || !/[\p{C}\p{Z}]/u.test(c))),
  zfill: method('zfill', ['width'], (self, args) => {
    const missing = args.whole('width') - codePoints(self).length;
    spend(Math.max(0, missing));
    const sign = /^[-+]/.exec(self)?.[0] ?? '';
    return missing <= 0 ? self : sign + '0'.repeat(missing) + self.slice(sign.length);
  }),
  center: method('center', ['width', 'fillchar'], (self, args) => center(self, args.whole('width'), args.text('fillchar', ' '))),
  ljust: method('ljust', ['width', 'fillchar'], (self, args) => self + filling(self, args)),
  rjust: method('rjust', ['width', 'fillchar'], (self, args) => filling(self, args) + self),
  partition: method('partition', ['sep'], (self, args) => partition(self, args.text('sep'), false)),
  rpartition: method('rpartition', ['sep'], (self, args) => partition(self, args.text('sep'), true)),
  removeprefix: method('removeprefix', ['prefix'], (self, args) =>
    self.startsWith(args.text('prefix')) ? self.slice(args.text('prefix').length) : self,
  ),
  removesuffix: method('removesuffix', ['suffix'], (self, args) => {
    const suffix = args.text('suffix');
    return suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
  }),
  expandtabs: method('expandtabs', ['tabsize'], (self, args) => expandTabs(self, args.whole('tabsize', 8))),
};
/** Python methods that no known chat template uses. */
const REFUSED: readonly string[] = ['encode', 'casefold', 'translate', 'maketrans', 'format_map'];

/** Returns undefined if Python's str has no such method. @throws TemplateError for an unsupported method */
export function stringMethod(name: string): Method | undefined {
  if (REFUSED.includes(name)) throw unsupported(`the method ${name} of a text`);
  return Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
}

const LINE_ENDS = '\\n\\v\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINES = new RegExp(`[^${LINE_ENDS}]*(?:\\r\\n|[${LINE_ENDS}])|[^${LINE_ENDS}]+$`, 'g');
const LINE_END = new RegExp(`(?:\\r\\n|[${LINE_ENDS}])$`);

/** The lines of a text as `indent` splits them: a line break at the end starts another line. */
export const splitLines = (text: string): readonly string[] => (`${text}\n`.match(LINES) ?? []).map(line => line.replace(LINE_END, ''));

/** The text with its first letter in title case and the others in lowercase. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  const upper = DIGRAPHS[first.toLowerCase()] ?? first.toUpperCase();
  const begun = Array.from(upper);
  return (begun[0] ?? '') + begun.slice(1).join('').toLowerCase() + text.slice(first.length).toLowerCase();
}
/** Letters with a separate title case. */
const DIGRAPHS: Readonly<Record<string, string>> = { ǆ: 'ǅ', ǉ: 'ǈ', ǌ: 'ǋ', ǳ: 'ǲ' };

export const isUpper = (text: string): boolean => /\p{Lu}|\p{Lt}/u.test(text) && !/[\p{Ll}\p{Lt}]|\p{Lowercase}/u.test(text);
export const isLower = (text: string): boolean => /\p{Lowercase}/u.test(text) && !/[\p{Lt}\p{Lu}]|\p{Uppercase}/u.test(text);

export function stripText(text: string, characters: Value | undefined, side: 'left' | 'right' | 'both'): string {
  spend(text.length);
  if (characters === undefined) {
    const begun = side === 'right' ? text : text.replace(LEADING_SPACE, '');
    return side === 'left' ? begun : withoutTrailingSpace(begun);
  }
  if (typeof characters !== 'string') throw new TemplateError('strip arg must be None or str');
  const set = new Set(characters);
  const points = Array.from(text);
  let [from, to] = [0, points.length];
  if (side !== 'right') while (from < to && set.has(elementAt(points, from))) from++;
  if (side !== 'left') while (to > from && set.has(elementAt(points, to - 1))) to--;
  return points.slice(from, to).join('');
}

/** @param count maximum number of replacements; negative for all */
export function replaceText(text: string, from: string, to: string, count: number): string {
  spend(text.length);
  if (count === 0) return text;
  const parts = from === '' ? ['', ...Array.from(text), ''] : text.split(from);
  const limit = count < 0 ? parts.length : count;
  if (parts.length === 1) return text;
  spend(text.length + to.length * Math.min(limit, parts.length - 1));
  if (limit >= parts.length - 1) return parts.join(to);
  return [...parts.slice(0, limit), ''].join(to) + parts.slice(limit).join(from);
}

export function center(text: string, width: number, fill: string): string {
  if (codePoints(fill).length !== 1) throw new TemplateError('The fill character must be exactly one character long');
  const missing = width - codePoints(text).length;
  if (missing <= 0) return text;
  spend(missing);
  // For an odd width, Python puts the odd space on the left.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

function filling(text: string, args: Arguments): string {
  const fill = args.text('fillchar', ' ');
  if (codePoints(fill).length !== 1) throw new TemplateError('The fill character must be exactly one character long');
  const missing = Math.max(0, args.whole('width') - codePoints(text).length);
  spend(missing);
  return fill.repeat(missing);
}

function split(text: string, args: Arguments, fromRight: boolean): readonly string[] {
  spend(text.length);
  const separator = args.optional('sep');
  const most = args.whole('maxsplit', -1);
  if (separator !== undefined && typeof separator !== 'string') throw new TemplateError(`must be str or None, not ${typeName(separator)}`);
  if (separator === '') throw new TemplateError('empty separator');
  if (separator !== undefined) {
    const parts = text.split(separator);
    spendItems(parts.length);
    if (most < 0 || parts.length <= most + 1) return parts;
    if (fromRight) return [parts.slice(0, parts.length - most).join(separator), ...parts.slice(parts.length - most)];
    return [...parts.slice(0, most), parts.slice(most).join(separator)];
  }
  const trimmed = withoutTrailingSpace(text.replace(LEADING_SPACE, ''));
  const gaps = [...trimmed.matchAll(SPACES)];
  spendItems(gaps.length);
  const used = most < 0 ? gaps : fromRight ? gaps.slice(Math.max(0, gaps.length - most)) : gaps.slice(0, most);
  const parts: string[] = [];
  let end = 0;
  for (const gap of used) {
    parts.push(trimmed.slice(end, gap.index));
    end = gap.index + gap[0].length;
  }
  // The remaining text keeps the white space on its far side.
  const rest = most >= 0 && used.length < gaps.length && !fromRight ? text.replace(LEADING_SPACE, '').slice(end) : trimmed.slice(end);
  if (fromRight && parts.length > 0) {
    const whole = withoutTrailingSpace(text);
    parts[0] = whole.slice(0, whole.length - (trimmed.length - elementAt(parts, 0).length));
  }
  return trimmed === '' ? [] : [...parts, rest];
}

function part0(text: string, args: Arguments): string {
  const points = codePoints(text);
  return joinPoints(points.slice(args.whole('start', 0), args.whole('end', points.length)));
}

function affix(text: string, args: Arguments, name: string, test: (text: string, part: string) => boolean): boolean {
  const wanted = args.get(name);
  const parts = wanted instanceof Tuple ? wanted.items : [wanted];
  const within = part0(text, args);
  return parts.some(part => {
    if (typeof part !== 'string') throw new TemplateError(`startswith first arg must be str or a tuple of str, not ${typeName(part)}`);
    return test(within, part);
  });
}

function find(text: string, args: Arguments, last: boolean): number {
  const points = codePoints(text);
  const start = args.whole('start', 0);
  const from = start < 0 ? Math.max(0, points.length + start) : start;
  if (from > points.length) return -1;
  const within = part0(text, args);
  const at = last ? within.lastIndexOf(args.text('sub')) : within.indexOf(args.text('sub'));
  return at < 0 ? -1 : from + codePoints(within.slice(0, at)).length;
}

function found(at: number): number {
  if (at < 0) throw new TemplateError('substring not found');
  return at;
}

function partition(text: string, separator: string, last: boolean): Tuple {
  if (separator === '') throw new TemplateError('empty separator');
  const at = last ? text.lastIndexOf(separator) : text.indexOf(separator);
  if (at < 0) return new Tuple(last ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

function expandTabs(text: string, size: number): string {
  let column = 0;
  let result = '';
  for (const character of text) {
    if (character === '\t') {
      const spaces = size > 0 ? size - (column % size) : 0;
      spend(spaces);
      result += ' '.repeat(spaces);
      column += spaces;
    } else {
      result += character;
      column = character === '\n' || character === '\r' ? 0 : column + 1;
    }
  }
  return result;
}
