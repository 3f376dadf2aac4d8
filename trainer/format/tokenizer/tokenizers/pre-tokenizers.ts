/** The `pre_tokenizer` of tokenizer.json: a text cut into words, which the model then cuts further. */
import { toByteCharacters } from './byte-level.ts';
import { build, type Component, flag, integer, pattern, steps, text } from './component.ts';
import { FORMER_PUNCTUATION, NEWER_PUNCTUATION } from './older-unicode.ts';
import { compileOniguruma } from './oniguruma.ts';

/** Receives the words of a text in their order; none is empty. @param first whether it begins where the whole text begins */
export type Emit = (word: string, first: boolean) => void;

/** Cuts texts into words, for a receiver that is given once: each text costs thousands of words, and lists of them would cost more than the model. */
export type Split = (emit: Emit) => Emit;

export interface PreTokenizer {
  readonly split: Split;
  /** A word as the model's vocabulary spells it, which is looked up less often than words are cut. */
  readonly spell: (word: string) => string;
}

/** One step of a sequence. */
interface Step {
  readonly split: Split;
  readonly spell?: PreTokenizer['spell'];
}

/** The treatment of the stretches that a pattern finds. */
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
      for (const [from, to] of pieces(text, found, behavior, invert)) emit(text.slice(from, to), first && from === 0);
    })
  );
}

/** Each match and each stretch between two is a word. Most patterns match everything, and then all matches are found in one call. */
const isolate =
  (found: RegExp): Split =>
  emit =>
  (text, first) => {
    const matches = text.match(found) ?? [];
    let length = 0;
    for (const match of matches) length += match.length;
    if (length < text.length) {
      for (const [from, to] of pieces(text, found, 'Isolated', false)) emit(text.slice(from, to), first && from === 0);
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

/** Each word as it is changed. */
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

/** @throws Error for a kind that is unknown or a field that is wrong */
export function createPreTokenizer(value: unknown): PreTokenizer {
  const all = value === null || value === undefined ? [] : build('pre_tokenizer', value, KINDS);
  const spell = all.at(-1)?.spell;
  const cuts = all.map((step, i) => (step.spell && i < all.length - 1 ? then(step.split, changed(step.spell)) : step.split));
  return { split: cuts.reduce(then, whole), spell: spell ?? (word => word) };
}

/** Older files say it in small letters. */
function behavior(component: Component, byDefault?: Behavior): Behavior {
  const named = text(component, 'behavior', byDefault);
  const found = BEHAVIORS.find(known => known.toLowerCase() === named.replaceAll('_', '').toLowerCase());
  if (found === undefined) throw new Error(`${String(component.type)} has the behavior ${named}`);
  return found;
}

function metaspace(component: Component): Split {
  const replacement = text(component, 'replacement', '▁');
  // Files from before `prepend_scheme` have `add_prefix_space`.
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

type Range = [from: number, to: number];

/** The stretches into which a text is cut; none is empty. */
function pieces(value: string, found: RegExp, how: Behavior, invert: boolean): readonly Range[] {
  const parts: Array<{ range: Range; match: boolean }> = [];
  let end = 0;
  for (const match of value.matchAll(found)) {
    const to = match.index + match[0].length;
    if (end < match.index) parts.push({ range: [end, match.index], match: invert });
    parts.push({ range: [match.index, to], match: !invert });
    end = to;
  }
  if (end < value.length) parts.push({ range: [end, value.length], match: invert });
  return joined(parts, how).filter(([from, to]) => from < to);
}

function joined(parts: ReadonlyArray<{ range: Range; match: boolean }>, how: Behavior): readonly Range[] {
  if (how === 'Isolated') return parts.map(({ range }) => range);
  if (how === 'Removed') return parts.filter(({ match }) => !match).map(({ range }) => range);
  const backwards = how === 'MergedWithNext';
  const result: Range[] = [];
  let before = false;
  for (const { range, match } of backwards ? parts.toReversed() : parts) {
    const last = result.at(-1);
    const joins = how === 'Contiguous' ? match === before : match && !before;
    if (!joins || last === undefined) result.push([...range]);
    else if (backwards) last[0] = range[0];
    else last[1] = range[1];
    before = match;
  }
  return backwards ? result.reverse() : result;
}
