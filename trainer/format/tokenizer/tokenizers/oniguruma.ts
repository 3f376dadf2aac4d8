/**
 * Converts regular expressions of tokenizer.json, which use Oniguruma's Ruby syntax, to JavaScript: Unicode white space, words and digits,
 * possessive and atomic groups, case-insensitive groups. Anything without an equivalent is refused by name.
 */

import { caseless, classCharacter, classRange, escapeCharacter, FOLDED_TOGETHER } from './case-folds.ts';
import { TimedPattern } from './timed-pattern.ts';

/** Maximum length; published patterns have about 2,000 characters. */
const MAX_PATTERN_CHARACTERS = 20_000;
/** Maximum nesting: deeper groups exhaust the stack of the regular expression compiler. */
const MAX_NESTING = 64;
/**
 * Maximum repetitions of an interval, and of nested intervals multiplied: the engine expands repetitions. Published patterns have `{1,3}`.
 */
const MAX_REPETITIONS = 1000;
/** Maximum choices in one alternative; more could make a search take exponential time. Published patterns have up to five. */
const MAX_CHOICES = 8;

const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
/** Characters that Oniguruma counts as word characters, except inside brackets. */
const OUTSIDE_WORD = `${WORD}\\u00b2\\u00b3\\u00b9\\u00bc-\\u00be`;
const CLASSES: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  w: WORD,
  d: '\\p{Nd}',
  h: '0-9A-Fa-f',
};
const BRACKETS: Readonly<Record<string, string>> = {
  alpha: '\\p{Alphabetic}',
  alnum: '\\p{Alphabetic}\\p{Nd}',
  digit: '\\p{Nd}',
  lower: '\\p{Lowercase}',
  upper: '\\p{Uppercase}',
  space: '\\p{White_Space}',
  blank: '\\t\\p{Zs}',
  punct: '\\p{P}\\p{S}',
  cntrl: '\\p{Cc}',
  word: WORD,
  xdigit: '0-9A-Fa-f',
};
const LITERAL_ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', a: '\x07', e: '\x1b' };
const NOT_LINE_END = '[^\\n]';

/** @throws SyntaxError for an invalid expression or one without an equivalent in JavaScript */
export function compileOniguruma(source: string): RegExp {
  if (source.length > MAX_PATTERN_CHARACTERS)
    throw new SyntaxError(`the pattern has ${source.length} characters; at most ${MAX_PATTERN_CHARACTERS} are read`);
  const translation = new Translation(source);
  const whole = translation.whole();
  return new TimedPattern(whole, source, translation.choices > MAX_CHOICES);
}

/** A pattern that matches only this text. */
export const literal = (text: string): RegExp => new RegExp(Array.from(text, escapeCharacter).join(''), 'gv');

class Translation {
  private readonly characters: readonly string[];
  private at = 0;
  private depth = 0;
  private groups = 0;
  /** Maximum repetitions around the part that is being read. */
  private repetitions = 1;
  /** Number of places where the part being read can match in more than one way; infinite for a repeated choice. */
  choices = 0;

  constructor(source: string) {
    this.characters = Array.from(source);
  }

  whole(): string {
    const result = this.alternatives(false);
    if (this.at < this.characters.length) this.refuse('a closing parenthesis without an opening one');
    return result;
  }

  private peek = (ahead = 0): string | undefined => this.characters[this.at + ahead];

  private next(): string {
    const character = this.characters[this.at++];
    if (character === undefined) this.refuse('an end in the middle of an expression');
    return character;
  }

  private take(text: string): boolean {
    const found = this.characters.slice(this.at, this.at + text.length).join('') === text;
    if (found) this.at += text.length;
    return found;
  }

  private refuse(what: string): never {
    throw new SyntaxError(`the pattern has ${what} at character ${this.at}, which is not supported`);
  }

  /** Reads up to the closing parenthesis of the group, or the end. */
  private alternatives(ignoreCase: boolean): string {
    if (++this.depth > MAX_NESTING) this.refuse(`groups nested more than ${MAX_NESTING} deep`);
    let fold = ignoreCase;
    let result = '';
    let before = '';
    let most = 0;
    this.choices = 0;
    for (let next = this.peek(); next !== undefined && next !== ')'; next = this.peek()) {
      if (this.take('|')) {
        result += '|';
        most = Math.max(most, this.choices + 1);
        this.choices = 0;
      } else if (this.take('(?i)')) {
        // It applies up to the end of the group, including alternatives.
        fold = true;
        const outside = this.choices;
        result += `(?:${this.alternatives(true)})`;
        this.choices += outside;
      } else {
        if (fold && FOLDED_TOGETHER.test(before + next)) this.refuse(`"${before}${next}" without case, which a single letter also spells`);
        result += this.term(fold);
      }
      before = next;
    }
    if (most > 0) this.choices = Math.max(most, this.choices + 1);
    this.depth--;
    return result;
  }

  private term(fold: boolean): string {
    const before = this.repetitions;
    const outside = this.choices;
    this.repetitions = 1;
    this.choices = 0;
    const result = this.quantified(this.atom(fold));
    this.choices += outside;
    this.repetitions = Math.max(before, this.repetitions);
    return result;
  }

  private quantified(atom: string): string {
    let result = atom;
    for (;;) {
      const interval = this.interval();
      const sign = interval ?? (['*', '+', '?'].includes(this.peek() ?? '') ? this.next() : undefined);
      if (sign === undefined) return result;
      const times = /^\{(\d+)\}$/.exec(sign)?.[1];
      if (times !== undefined) this.choices *= Number(times);
      else this.choices = sign === '?' || this.choices === 0 ? this.choices + 1 : Number.POSITIVE_INFINITY;
      if (this.take('?')) result = `${result}${sign}?`;
      else if (interval === undefined && this.take('+')) result = this.atomic(`${result}${sign}`);
      else result = `${result}${sign}`;
      result = `(?:${result})`;
    }
  }

  /** Reads `{2}`, `{2,}`, `{,3}` or `{2,3}`; other braces are literal text. */
  private interval(): string | undefined {
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.characters.slice(this.at, this.at + 16).join(''));
    if (found === null || (found[1] === '' && found[3] === '')) return undefined;
    this.at += found[0].length;
    this.repetitions *= Math.max(1, Number(found[1]), Number(found[3]));
    if (this.repetitions > MAX_REPETITIONS) this.refuse(`more than ${MAX_REPETITIONS} repetitions`);
    return `{${found[1] || '0'}${found[2]}${found[3]}}`;
  }

  /** An atomic group, which never gives back matched text: a lookahead keeps its first match. */
  private atomic(inner: string): string {
    const name = `atomic${this.groups++}`;
    return `(?:(?=(?<${name}>${inner}))\\k<${name}>)`;
  }

  private atom(fold: boolean): string {
    const character = this.next();
    if (character === '(') return this.group(fold);
    if (character === '[') return this.class(fold);
    if (character === '.') return NOT_LINE_END;
    if (character === '^') return '(?<![^\\n])';
    if (character === '$') return '(?![^\\n])';
    if (character === '\\') return this.escape(fold);
    if ('*+?'.includes(character)) this.refuse('a repetition of nothing');
    return caseless(character, fold);
  }

  private group(fold: boolean): string {
    const close = (inner: string): string => {
      if (!this.take(')')) this.refuse('a group without an end');
      return inner;
    };
    if (!this.take('?')) return close(`(?:${this.alternatives(fold)})`);
    for (const kind of [':', '=', '!', '<=', '<!']) if (this.take(kind)) return close(`(?${kind}${this.alternatives(fold)})`);
    if (this.take('>')) return close(this.atomic(this.alternatives(fold)));
    if (this.take('i:')) return close(`(?:${this.alternatives(true)})`);
    if (this.take('-i:')) return close(`(?:${this.alternatives(false)})`);
    return this.refuse(`a group that begins with (?${this.peek() ?? ''}`);
  }

  private escape(fold: boolean): string {
    const character = this.next();
    const known = CLASSES[character.toLowerCase()];
    const set = known === WORD ? OUTSIDE_WORD : known;
    if (set !== undefined) return character === character.toLowerCase() ? `[${set}]` : `[^${set}]`;
    switch (character) {
      case 'p':
      case 'P':
        return this.property(character === 'P');
      case 'A':
        return '(?<![\\s\\S])';
      case 'z':
        return '(?![\\s\\S])';
      case 'Z':
        return '(?=\\n?(?![\\s\\S]))';
      case 'b':
        return `(?:(?<![${OUTSIDE_WORD}])(?=[${OUTSIDE_WORD}])|(?<=[${OUTSIDE_WORD}])(?![${OUTSIDE_WORD}]))`;
      case 'B':
        return `(?:(?<![${OUTSIDE_WORD}])(?![${OUTSIDE_WORD}])|(?<=[${OUTSIDE_WORD}])(?=[${OUTSIDE_WORD}]))`;
      case 'R':
        return this.atomic('\\r\\n|[\\n\\v\\f\\r\\u0085\\u2028\\u2029]');
      default:
        return caseless(this.literalEscape(character), fold);
    }
  }

  private literalEscape(character: string): string {
    const known = LITERAL_ESCAPES[character];
    if (known !== undefined) return known;
    if (character === 'x' || character === 'u') {
      const rest = this.characters.slice(this.at, this.at + 12).join('');
      const found = (character === 'x' ? /^(?:\{([\dA-Fa-f]{1,6})\}|([\dA-Fa-f]{1,2}))/ : /^()([\dA-Fa-f]{4})/).exec(rest);
      const code = Number.parseInt(found?.[1] || found?.[2] || 'no number', 16);
      if (found === null || !(code <= 0x10ffff)) this.refuse(`an escape \\${character} without a character`);
      this.at += found[0].length;
      return String.fromCodePoint(code);
    }
    if (/[\p{L}\p{N}]/u.test(character)) this.refuse(`the escape \\${character}`);
    return character;
  }

  private property(negative: boolean): string {
    const rest = this.characters.slice(this.at, this.at + 64).join('');
    const found = /^\{(\^?)([\w ]+)\}/.exec(rest);
    if (found === null) return this.refuse('a property without a name in braces');
    this.at += found[0].length;
    const [, not, name = ''] = found;
    const bracket = BRACKETS[name.toLowerCase()];
    const inverted = (not === '^') !== negative;
    if (bracket !== undefined) return inverted ? `[^${bracket}]` : `[${bracket}]`;
    for (const candidate of [name, `Script=${name}`]) {
      try {
        new RegExp(`\\p{${candidate}}`, 'v');
        return `\\${inverted ? 'P' : 'p'}{${candidate}}`;
      } catch {
        // It may be the name of a script.
      }
    }
    return this.refuse(`the unknown property ${name}`);
  }

  /** Reads a class in brackets: unions, `&&`, nested classes. */
  private class(fold: boolean): string {
    if (++this.depth > MAX_NESTING) this.refuse(`classes nested more than ${MAX_NESTING} deep`);
    const negative = this.take('^');
    const parts: string[] = [];
    let items: string[] = [];
    for (let first = true; first || this.peek() !== ']'; first = false) {
      if (this.take('&&')) {
        parts.push(`[${items.join('')}]`);
        items = [];
      } else {
        items.push(this.classItem(fold));
      }
    }
    this.at++;
    this.depth--;
    if (parts.length === 0) return `[${negative ? '^' : ''}${items.join('')}]`;
    return `[${negative ? '^' : ''}${[...parts, `[${items.join('')}]`].join('&&')}]`;
  }

  private classItem(fold: boolean): string {
    const named = /^\[:(\^?)(\w+):\]/.exec(this.characters.slice(this.at, this.at + 16).join(''));
    if (named !== null) {
      const set = BRACKETS[named[2] ?? ''];
      if (set === undefined) this.refuse(`the unknown class ${named[0]}`);
      this.at += named[0].length;
      return named[1] === '^' ? `[^${set}]` : set;
    }
    if (this.take('[')) return this.class(fold);
    const from = this.classCharacter();
    if (from.set !== undefined) return from.set;
    if (this.peek() !== '-' || this.peek(1) === ']' || this.peek(1) === undefined) return classCharacter(from.character, fold);
    this.at++;
    const to = this.classCharacter();
    if (to.set !== undefined) return `${classCharacter(from.character, fold)}\\-${to.set}`;
    return classRange(from.character, to.character, fold) ?? this.refuse(`the range ${from.character}-${to.character} without case`);
  }

  private classCharacter(): { readonly set: string } | { readonly set?: undefined; readonly character: string } {
    const character = this.next();
    if (character !== '\\') return { character };
    const escaped = this.next();
    const set = CLASSES[escaped.toLowerCase()];
    if (set !== undefined) return { set: escaped === escaped.toLowerCase() ? set : `[^${set}]` };
    if (escaped === 'p' || escaped === 'P') return { set: this.property(escaped === 'P') };
    return { character: escaped === 'b' ? '\b' : this.literalEscape(escaped) };
  }
}
