/** The `added_tokens` of tokenizer.json: texts that are single tokens wherever they occur. They are found before any other step. */
import { valueFor } from '../../../narrow.ts';
import { endsWithWord, leadingWhiteSpace, startsWithWord, trailingWhiteSpace } from './characters.ts';
import type { Normalize } from './normalizers.ts';
import type { Vocabulary } from './vocabulary.ts';

export interface AddedToken {
  readonly content: string;
  readonly special: boolean;
  /** True if it is found only if no letter or digit is next to it. */
  readonly single_word: boolean;
  /** True if it includes the white space before it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** True if it is normalized and searched for in the normalized text. */
  readonly normalized: boolean;
}

/** Maximum number of characters in all added tokens, each of which may take a search node. Published files have up to 100,000. */
const MAX_ADDED_CHARACTERS = 2_000_000;

/** A range of text, or a token that was found. `from` and `to` are offsets into the searched text. */
export interface Section {
  readonly from: number;
  readonly to: number;
  readonly id: number | undefined;
}

export interface AddedTokens {
  id(token: string): number | undefined;
  /** Returns the text of a token; one that is searched for in normalized text is returned normalized. */
  token(id: number): string | undefined;
  isSpecial(token: string): boolean;
  /** The texts of the special tokens. */
  readonly specialTexts: readonly string[];
  readonly largestId: number;
  /** Splits a text at tokens that are searched for in the original text. */
  cutRaw(text: string): readonly Section[];
  /** Splits a normalized text at the other tokens. */
  cutNormalized(text: string): readonly Section[];
}

/**
 * Creates the search. A token in the vocabulary keeps its id from there, whatever the file states; the others get the next ids in order, as
 * in the tokenizers library.
 */
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

/** Finds the leftmost match of all patterns, the longest if several start at the same position, and continues after it. */
function createSearch(patterns: readonly Pattern[]): (text: string) => readonly Section[] {
  // One check per character where no pattern starts, which is nearly everywhere.
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
      const isMatch =
        !token.single_word || (!endsWithWord(text.slice(Math.max(0, at - 2), at)) && !startsWithWord(text.slice(stop, stop + 2)));
      if (isMatch) {
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
