/** The `added_tokens` of tokenizer.json: texts that are one token each wherever they stand, found before anything else is done. */
import { valueFor } from '../../../narrow.ts';
import { endsWithWord, leadingWhiteSpace, startsWithWord, trailingWhiteSpace } from './characters.ts';
import type { Normalize } from './normalizers.ts';
import type { Vocabulary } from './vocabulary.ts';

export interface AddedToken {
  readonly content: string;
  readonly special: boolean;
  /** Whether it is found only where no letter or digit is next to it. */
  readonly single_word: boolean;
  /** Takes the white space before it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in the normalized text, itself normalized. */
  readonly normalized: boolean;
}

/** Characters of all added tokens, each of which may take a node of the search. Published files have up to 100 000. */
const MAX_ADDED_CHARACTERS = 2_000_000;

/** A stretch of text, or a token that was found. `from` and `to` are places in the text that was cut. */
export interface Section {
  readonly from: number;
  readonly to: number;
  readonly id: number | undefined;
}

export interface AddedTokens {
  id(token: string): number | undefined;
  /** One that is looked for in the normalized text comes back normalized. */
  token(id: number): string | undefined;
  isSpecial(token: string): boolean;
  /** The special ones, as they are written. */
  readonly specialTexts: readonly string[];
  readonly largestId: number;
  /** Cuts a text at those that are looked for as it is written. */
  cutRaw(text: string): readonly Section[];
  /** Cuts a normalized text at the others. */
  cutNormalized(text: string): readonly Section[];
}

/** A token that the vocabulary has keeps its id there, whatever the file says of it; the others follow in order, as in the tokenizers library. */
export function createAddedTokens(listed: readonly AddedToken[], vocabulary: Vocabulary, normalize: Normalize | undefined): AddedTokens {
  const characters = listed.reduce((sum, { content }) => sum + content.length, 0);
  if (characters > MAX_ADDED_CHARACTERS)
    throw new Error(`its added tokens have ${characters} characters together; at most ${MAX_ADDED_CHARACTERS} are read`);
  const ids = new Map<string, number>();
  const tokens = new Map<number, string>();
  const kept = new Map<string, AddedToken>();
  let largestId = -1;
  for (const token of listed) {
    if (token.content === '') continue;
    const known = ids.get(token.content) ?? vocabulary.id(token.content);
    const id = known ?? (largestId >= vocabulary.size || vocabulary.size === 0 ? largestId + 1 : vocabulary.size);
    largestId = Math.max(largestId, id);
    ids.set(token.content, id);
    tokens.set(id, token.normalized ? (normalize?.(token.content) ?? token.content) : token.content);
    kept.set(token.content, token);
  }
  const ordered = [...kept.values()].sort((a, b) => Number(b.special) - Number(a.special));
  const search = (group: readonly AddedToken[], written: (content: string) => string) =>
    createSearch(group.map(token => ({ text: written(token.content), token, id: valueFor(ids, token.content) })));
  const raw = search(
    ordered.filter(token => !token.normalized),
    content => content,
  );
  const normalized = search(
    ordered.filter(token => token.normalized),
    content => normalize?.(content) ?? content,
  );
  return {
    id: token => ids.get(token),
    token: id => tokens.get(id),
    isSpecial: token => kept.get(token)?.special === true,
    specialTexts: ordered.filter(({ special }) => special).map(({ content }) => content),
    largestId,
    cutRaw: raw,
    cutNormalized: normalized,
  };
}

interface Pattern {
  readonly text: string;
  readonly token: AddedToken;
  readonly id: number;
}

interface Node {
  readonly children: Map<number, Node>;
  pattern: Pattern | undefined;
}

/** The leftmost of all patterns, of those that begin there the longest, and so on behind it. */
function createSearch(patterns: readonly Pattern[]): (text: string) => readonly Section[] {
  // One comparison a character where none begins, which is nearly everywhere.
  const begins = new Uint8Array(2 ** 16);
  const root: Node = { children: new Map(), pattern: undefined };
  for (const pattern of patterns) {
    if (pattern.text === '') continue;
    begins[pattern.text.charCodeAt(0)] = 1;
    let node = root;
    for (let i = 0; i < pattern.text.length; i++) {
      const unit = pattern.text.charCodeAt(i);
      const child: Node = node.children.get(unit) ?? { children: new Map(), pattern: undefined };
      node.children.set(unit, child);
      node = child;
    }
    node.pattern ??= pattern;
  }
  const longestAt = (text: string, at: number): Pattern | undefined => {
    let found: Pattern | undefined;
    let node = root.children.get(text.charCodeAt(at));
    for (let i = at + 1; node !== undefined; node = node.children.get(text.charCodeAt(i++))) found = node.pattern ?? found;
    return found;
  };
  return text => {
    const sections: Section[] = [];
    let end = 0;
    for (let at = 0; at < text.length; ) {
      const found = begins[text.charCodeAt(at)] === 1 ? longestAt(text, at) : undefined;
      if (found === undefined) {
        at++;
        continue;
      }
      const { token, id } = found;
      const stop = at + found.text.length;
      const apart =
        !token.single_word || (!endsWithWord(text.slice(Math.max(0, at - 2), at)) && !startsWithWord(text.slice(stop, stop + 2)));
      if (apart) {
        const from = token.lstrip ? Math.max(end, trailingWhiteSpace(text, at)) : at;
        const to = token.rstrip ? leadingWhiteSpace(text, stop) : stop;
        if (end < from) sections.push({ from: end, to: from, id: undefined });
        sections.push({ from, to, id });
        end = to;
      }
      at = stop;
    }
    if (end < text.length) sections.push({ from: end, to: text.length, id: undefined });
    return sections;
  };
}
