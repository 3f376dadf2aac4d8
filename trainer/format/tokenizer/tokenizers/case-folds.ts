/** Characters of a regular expression, escaped, and with `(?i)` all their case variants. */

/** All characters that are equal to one without regard to case, by Unicode's case folding. */
function variants(character: string): readonly string[] {
  const special = SPECIAL_FOLDS.find(group => group.includes(character));
  return special ?? [...new Set([character, character.toLowerCase(), character.toUpperCase()])].filter(c => Array.from(c).length === 1);
}
/** ß, ﬁ and similar characters are equal to two letters. */
export const FOLDED_TOGETHER = /^(?:ss|ff|fi|fl|st|[hjtwya]\p{M})$/iu;
const SPECIAL_FOLDS: ReadonlyArray<readonly string[]> = [
  ['s', 'S', 'ſ'],
  ['k', 'K', '\u212a'],
  ['å', 'Å', '\u212b'],
  ['σ', 'Σ', 'ς'],
];

export const escapeCharacter = (character: string): string =>
  /[\p{L}\p{N}]/u.test(character) ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

export const caseless = (character: string, fold: boolean): string => {
  const all = fold ? variants(character) : [character];
  return all.length === 1 ? escapeCharacter(character) : `[${all.map(escapeCharacter).join('')}]`;
};

export const classCharacter = (character: string, fold: boolean): string =>
  (fold ? variants(character) : [character]).map(escapeCharacter).join('');

/** A range for a character class; undefined if it has no simple form without regard to case. */
export function classRange(from: string, to: string, fold: boolean): string | undefined {
  const range = `${escapeCharacter(from)}-${escapeCharacter(to)}`;
  if (!fold) return range;
  const letters = /^[a-z][a-z]$|^[A-Z][A-Z]$/.test(from + to);
  if (!letters) return /^\P{L}\P{L}$/u.test(from + to) ? range : undefined;
  const both = Array.from({ length: to.charCodeAt(0) - from.charCodeAt(0) + 1 }, (_, i) => String.fromCharCode(from.charCodeAt(0) + i));
  return [...new Set(both.flatMap(variants))].map(escapeCharacter).join('');
}
