/** The `pre_tokenizer` of tokenizer.json: a text cut into words, which the model then cuts further. */
import { toByteCharacters } from './byte-level.ts';
import { build, type Component, flag, integer, pattern, steps, text } from './component.ts';
import { FORMER_PUNCTUATION, NEWER_PUNCTUATION } from './older-unicode.ts';
import { compileOniguruma } from './oniguruma.ts';

/** A stretch of the text. `first`: it begins where the whole text begins. */
export interface Word {
  readonly text: string;
  readonly first: boolean;
}

export type Split = (words: readonly Word[]) => readonly Word[];

/** The treatment of the stretches that a pattern finds. */
type Behavior = 'Isolated' | 'Removed' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';
const BEHAVIORS: readonly Behavior[] = ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const PUNCTUATION = new RegExp(`[[!-\\/:-@\\[-\`\\{-~\\p{P}${FORMER_PUNCTUATION}]--[${NEWER_PUNCTUATION}]]`, 'gv');
const WHITE_SPACE = /\p{White_Space}/gu;

function splitBy(found: RegExp, behavior: Behavior, invert = false): Split {
  return words => {
    const result: Word[] = [];
    for (const word of words) {
      for (const [from, to] of pieces(word.text, found, behavior, invert)) {
        const whole = from === 0 && to === word.text.length;
        result.push(whole ? word : { text: word.text.slice(from, to), first: word.first && from === 0 });
      }
    }
    return result;
  };
}

const KINDS: Readonly<Record<string, (component: Component, depth: number) => Split>> = {
  BertPreTokenizer: () =>
    splitBy(new RegExp(`${PUNCTUATION.source}|(?:(?!${PUNCTUATION.source})\\P{White_Space})+`, 'gv'), 'Removed', true),
  Whitespace: () =>
    splitBy(
      /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
      'Removed',
      true,
    ),
  WhitespaceSplit: () => splitBy(WHITE_SPACE, 'Removed'),
  Digits: component => splitBy(/\p{N}/gu, flag(component, 'individual_digits', false) ? 'Isolated' : 'Contiguous'),
  Punctuation: component => splitBy(PUNCTUATION, behavior(component, 'Isolated')),
  CharDelimiterSplit: component => splitBy(pattern({ pattern: text(component, 'delimiter') }), 'Removed'),
  Split: component => splitBy(pattern(component), behavior(component), flag(component, 'invert', false)),
  ByteLevel: component => {
    const prefix = flag(component, 'add_prefix_space', true);
    const cut = flag(component, 'use_regex', true) ? splitBy(compileOniguruma(GPT2), 'Isolated') : (words: readonly Word[]) => words;
    return words => {
      const begun = prefix ? present(words).map(word => (word.text.startsWith(' ') ? word : { ...word, text: ` ${word.text}` })) : words;
      return cut(begun).map(({ text: value, first }) => ({ text: toByteCharacters(value), first }));
    };
  },
  Metaspace: metaspace,
  FixedLength: component => {
    const length = integer(component, 'length', 5);
    if (length === 0) throw new Error('FixedLength has a length of 0');
    return words =>
      words.flatMap(word => {
        const characters = Array.from(word.text);
        return Array.from({ length: Math.ceil(characters.length / length) }, (_, i) => ({
          text: characters.slice(i * length, (i + 1) * length).join(''),
          first: word.first && i === 0,
        }));
      });
  },
  Sequence: (component, depth) => inOrder(steps(component, 'pretokenizers').map(step => build('pre_tokenizer', step, KINDS, depth + 1))),
};

/** @throws Error for a kind that is unknown or a field that is wrong */
export const createPreTokenizer = (value: unknown): Split | undefined =>
  value === null || value === undefined ? undefined : build('pre_tokenizer', value, KINDS);

/** No text, no space before it. */
const present = (words: readonly Word[]): readonly Word[] => words.filter(word => word.text !== '');

const inOrder =
  (inner: readonly Split[]): Split =>
  words =>
    inner.reduce((current, step) => step(current), words);

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
  const cut = flag(component, 'split', true)
    ? splitBy(pattern({ pattern: replacement }), 'MergedWithNext')
    : (words: readonly Word[]) => words;
  return words =>
    cut(
      present(words).map(word => {
        const value = word.text.replaceAll(' ', () => replacement);
        const wants = scheme === 'always' || (scheme === 'first' && word.first);
        return { ...word, text: wants && !value.startsWith(replacement) ? replacement + value : value };
      }),
    );
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
