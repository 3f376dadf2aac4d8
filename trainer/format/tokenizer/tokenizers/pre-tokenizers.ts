/** The `pre_tokenizer` of tokenizer.json: splits a text into words, which the model then splits further. */
import { toByteCharacters } from './byte-level.ts';
import { build, type Component, flag, integer, pattern, steps, text } from './component.ts';
import { FORMER_PUNCTUATION, NEWER_PUNCTUATION } from './older-unicode.ts';
import { compileOniguruma } from './oniguruma.ts';

/** Receives the words of a text in order; none is empty. @param first whether it starts at the beginning of the whole text */
export type Emit = (word: string, first: boolean) => void;

/** Splits texts into words, for one receiver. A text has thousands of words, and lists of them would cost more than the model. */
export type Split = (emit: Emit) => Emit;

export interface PreTokenizer {
  readonly split: Split;
  /** Converts a word to the vocabulary's spelling. Done at lookup, which is less frequent than splitting. */
  readonly spell: (word: string) => string;
}

/** One step of a sequence. */
interface Step {
  readonly split: Split;
  readonly spell?: PreTokenizer['spell'];
}

/** How the ranges that a pattern matches are handled. */
type Behavior = 'Isolated' | 'Removed' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';
const BEHAVIORS: readonly Behavior[] = ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const PUNCTUATION = new RegExp(`[[!-\\/:-@\\[-\`\\{-~\\p{P}${FORMER_PUNCTUATION}]--[${NEWER_PUNCTUATION}]]`, 'gv');
const WHITE_SPACE = /\p{White_Space}/gu;

function splitBy(found: RegExp, behavior: Behavior, invert = false): Split {
  const cut = behavior === 'Isolated' ? isolate(found) : undefined;
  return (
    cut ??
    (emit => (text, first) => {
      pieces(text, found, behavior, invert, (from, to) => emit(text.slice(from, to), first && from === 0));
    })
  );
}

/** Makes each match, and each range between two matches, a word. Most patterns match everything, so all matches are found in one call. */
const isolate =
  (found: RegExp): Split =>
  emit =>
  (text, first) => {
    const matches = text.match(found) ?? [];
    let length = 0;
    for (const match of matches) length += match.length;
    if (length < text.length) {
      pieces(text, found, 'Isolated', false, (from, to) => emit(text.slice(from, to), first && from === 0));
      return;
    }
    let begins = first;
    for (const match of matches) {
      if (match === '') continue;
      emit(match, begins);
      begins = false;
    }
  };

const whole: Split = emit => (text, first) => {
  if (text !== '') emit(text, first);
};

/** Changes each word. */
const changed =
  (change: (word: string, first: boolean) => string): Split =>
  emit =>
  (text, first) => {
    const value = text === '' ? '' : change(text, first);
    if (value !== '') emit(value, first);
  };

const then =
  (before: Split, after: Split): Split =>
  emit =>
    before(after(emit));

const KINDS: Readonly<Record<string, (component: Component, depth: number) => readonly Step[]>> = {
  BertPreTokenizer: () =>
    one(splitBy(new RegExp(`${PUNCTUATION.source}|(?:(?!${PUNCTUATION.source})\\P{White_Space})+`, 'gv'), 'Removed', true)),
  Whitespace: () =>
    one(
      splitBy(
        /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
        'Removed',
        true,
      ),
    ),
  WhitespaceSplit: () => one(splitBy(WHITE_SPACE, 'Removed')),
  Digits: component => one(splitBy(/\p{N}/gu, flag(component, 'individual_digits', false) ? 'Isolated' : 'Contiguous')),
  Punctuation: component => one(splitBy(PUNCTUATION, behavior(component, 'Isolated'))),
  CharDelimiterSplit: component => one(splitBy(pattern({ pattern: text(component, 'delimiter') }), 'Removed')),
  Split: component => one(splitBy(pattern(component), behavior(component), flag(component, 'invert', false))),
  ByteLevel: component => {
    const prefix = flag(component, 'add_prefix_space', true);
    const cut = flag(component, 'use_regex', true) ? splitBy(compileOniguruma(GPT2), 'Isolated') : whole;
    const begun = changed(word => (word.startsWith(' ') ? word : ` ${word}`));
    return [{ split: prefix ? then(begun, cut) : cut, spell: toByteCharacters }];
  },
  Metaspace: component => one(metaspace(component)),
  FixedLength: component => {
    const length = integer(component, 'length', 5);
    if (length === 0) throw new Error('FixedLength has a length of 0');
    return one(emit => (word, first) => {
      const characters = Array.from(word);
      for (let at = 0; at < characters.length; at += length) emit(characters.slice(at, at + length).join(''), first && at === 0);
    });
  },
  Sequence: (component, depth) => steps(component, 'pretokenizers').flatMap(step => build('pre_tokenizer', step, KINDS, depth + 1)),
};

const one = (split: Split): readonly Step[] => [{ split }];

/** @throws Error for an unknown kind or a wrong field */
export function createPreTokenizer(value: unknown): PreTokenizer {
  const all = value === null || value === undefined ? [] : build('pre_tokenizer', value, KINDS);
  const spell = all.at(-1)?.spell;
  const cuts = all.map((step, i) => (step.spell && i < all.length - 1 ? then(step.split, changed(step.spell)) : step.split));
  return { split: cuts.reduce(then, whole), spell: spell ?? (word => word) };
}

/** Reads the behavior; older files spell it in lowercase. */
function behavior(component: Component, byDefault?: Behavior): Behavior {
  const named = text(component, 'behavior', byDefault);
  const found = BEHAVIORS.find(known => known.toLowerCase() === named.replaceAll('_', '').toLowerCase());
  if (found === undefined) throw new Error(`${String(component.type)} has the behavior ${named}`);
  return found;
}

function metaspace(component: Component): Split {
  const replacement = text(component, 'replacement', '▁');
  // Files older than `prepend_scheme` have `add_prefix_space`.
  const scheme = text(component, 'prepend_scheme', flag(component, 'add_prefix_space', true) ? 'always' : 'never');
  if (!['always', 'first', 'never'].includes(scheme)) throw new Error(`Metaspace has the prepend_scheme ${scheme}`);
  const cut = flag(component, 'split', true) ? splitBy(pattern({ pattern: replacement }), 'MergedWithNext') : whole;
  const replaced = changed((word, first) => {
    const value = word.replaceAll(' ', () => replacement);
    const wants = scheme === 'always' || (scheme === 'first' && first);
    return wants && !value.startsWith(replacement) ? replacement + value : value;
  });
  return then(replaced, cut);
}

/** Reports the ranges that a text is split into, in order; none is empty. */
function pieces(value: string, found: RegExp, how: Behavior, invert: boolean, report: (from: number, to: number) => void): void {
  let [from, to, before] = [0, 0, false];
  const part = (begin: number, end: number, match: boolean): void => {
    if (begin > 0 && joins(how, before, match)) to = end;
    else {
      if (from < to && !(how === 'Removed' && before)) report(from, to);
      [from, to] = [begin, end];
    }
    before = match;
  };
  let end = 0;
  for (const match of value.matchAll(found)) {
    if (end < match.index) part(end, match.index, invert);
    end = match.index + match[0].length;
    part(match.index, end, !invert);
  }
  if (end < value.length) part(end, value.length, invert);
  if (from < to && !(how === 'Removed' && before)) report(from, to);
}

/** True if a range is joined with the range before it. */
function joins(how: Behavior, before: boolean, match: boolean): boolean {
  if (how === 'Contiguous') return match === before;
  if (how === 'MergedWithPrevious') return match && !before;
  return how === 'MergedWithNext' && before && !match;
}
