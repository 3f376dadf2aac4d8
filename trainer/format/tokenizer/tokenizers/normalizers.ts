/** The `normalizer` of tokenizer.json: the changes to a text before it is split. */
import { charsmapNormalizer, graphemeCharsmapNormalizer } from '../charsmap.ts';
import { toByteCharacters } from './byte-level.ts';
import { lowercase, trimEnd, trimStart } from './characters.ts';
import { build, type Component, flag, longText, pattern, steps, text } from './component.ts';
import { checkGrowth, replaceMatches } from './component-limits.ts';
import {
  FORMER_MARKS,
  FORMER_NONSPACING,
  NEWER_COMPATIBLE,
  NEWER_COMPOSED,
  NEWER_CONTROLS,
  NEWER_MARKS,
  NEWER_NONSPACING,
} from './older-unicode.ts';

export type Normalize = (text: string) => string;

/** The type, in definitions built from a SentencePiece model, that applies the character map like SentencePiece itself. */
export const SENTENCEPIECE_CHARSMAP = 'SentencePieceCharsmap';

const form = (name: 'NFC' | 'NFD' | 'NFKC' | 'NFKD', newer: string) => (): Normalize => normalForm(name, newer);

const KINDS: Readonly<Record<string, (component: Component, depth: number) => Normalize>> = {
  NFC: form('NFC', NEWER_COMPOSED),
  NFD: form('NFD', NEWER_COMPOSED),
  NFKC: form('NFKC', NEWER_COMPATIBLE),
  NFKD: form('NFKD', NEWER_COMPATIBLE),
  Nmt: () => nmt,
  Lowercase: () => lowercase,
  StripAccents: () => value => value.replace(MARKS, ''),
  ByteLevel: () => toByteCharacters,
  BertNormalizer: bert,
  Strip: component => {
    const [left, right] = [flag(component, 'strip_left', true), flag(component, 'strip_right', true)];
    return value => {
      const begun = left ? trimStart(value) : value;
      return right ? trimEnd(begun) : begun;
    };
  },
  Prepend: component => {
    const prefix = text(component, 'prepend');
    return value => (value === '' ? '' : prefix + value);
  },
  Replace: component => {
    const [found, content] = [pattern(component), text(component, 'content')];
    return value => replaceMatches(value, found, content, 'normalizer');
  },
  Precompiled: component => {
    const map = component.precompiled_charsmap;
    if (map === null || map === undefined || map === '') return value => value;
    return graphemeCharsmapNormalizer(Buffer.from(longText(component, 'precompiled_charsmap'), 'base64'));
  },
  [SENTENCEPIECE_CHARSMAP]: component => charsmapNormalizer(Buffer.from(longText(component, 'precompiled_charsmap'), 'base64')),
  Sequence: (component, depth) => {
    const inner = steps(component, 'normalizers').map(step => build('normalizer', step, KINDS, depth + 1));
    return value =>
      inner.reduce((current, step) => {
        const next = step(current);
        checkGrowth(value.length, next.length, 'normalizer');
        return next;
      }, value);
  },
};

/** A Unicode normal form that does not change characters missing in its tables. */
function normalForm(name: 'NFC' | 'NFD' | 'NFKC' | 'NFKD', newer: string): Normalize {
  const unknown = new RegExp(`([${NEWER_MARKS}${newer}]+)`, 'u');
  return value => {
    const whole = value.normalize(name);
    if (whole === value && !unknown.test(value)) return value;
    return value
      .split(unknown)
      .map((part, i) => (i % 2 === 1 ? part : part.normalize(name)))
      .join('');
  };
}
const decompose = normalForm('NFD', NEWER_COMPOSED);
const MARKS = new RegExp(`[[\\p{M}${FORMER_MARKS}]--[${NEWER_MARKS}]]`, 'gv');
const NONSPACING = new RegExp(`[[\\p{Mn}${FORMER_NONSPACING}]--[${NEWER_NONSPACING}]]`, 'gv');

/** @throws Error for an unknown kind or a wrong field */
export const createNormalizer = (value: unknown): Normalize | undefined =>
  value === null || value === undefined ? undefined : build('normalizer', value, KINDS);

/** BERT's normalizer. Accents are removed before lowercasing, so that the result is lowercased too. */
function bert(component: Component): Normalize {
  const lower = flag(component, 'lowercase', true);
  const strip = component.strip_accents === null || component.strip_accents === undefined ? lower : flag(component, 'strip_accents', lower);
  const inOrder: Normalize[] = [
    ...(flag(component, 'clean_text', true) ? [cleanText] : []),
    ...(flag(component, 'handle_chinese_chars', true) ? [(value: string) => value.replace(CHINESE, ' $& ')] : []),
    ...(strip ? [(value: string) => decompose(value).replace(NONSPACING, '')] : []),
    ...(lower ? [lowercase] : []),
  ];
  const whole: Normalize = value => inOrder.reduce((current, step) => step(current), value);
  // Most texts only need lowercasing.
  return value => (/^[ -~]*$/.test(value) ? (lower ? value.toLowerCase() : value) : whole(value));
}

const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const NOT_TEXT = new RegExp(`[[\\p{Cc}\\p{Cf}\\p{Co}\\ufffd]--[\\t\\n\\r${NEWER_CONTROLS}]]`, 'gv');

const cleanText: Normalize = value => value.replace(NOT_TEXT, '').replace(/\p{White_Space}/gu, ' ');

/** SentencePiece's rules for machine translation. */
const nmt: Normalize = value =>
  value
    .replace(/(?![\0\t\n\f\r\u0080-\u008e\u0090-\u009e])\p{Cc}/gu, '')
    .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, ' ');
