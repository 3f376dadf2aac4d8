/** The `decoder` of tokenizer.json: converts tokens back to text. */
import { fromByteCharacters } from './byte-level.ts';
import { build, type Component, flag, integer, pattern, steps, text } from './component.ts';
import { checkGrowth, replaceMatches } from './component-limits.ts';

/** Converts tokens to pieces of text, which are then concatenated. */
export type Decode = (tokens: readonly string[]) => readonly string[];

const KINDS: Readonly<Record<string, (component: Component, depth: number) => Decode>> = {
  ByteLevel: () => tokens => [fromByteCharacters(tokens)],
  ByteFallback: () => byteFallback,
  Fuse: () => tokens => [tokens.join('')],
  WordPiece: component => {
    const prefix = text(component, 'prefix', '##');
    const tidy = flag(component, 'cleanup', true) ? cleanUpToken : (token: string) => token;
    return tokens => tokens.map((token, i) => tidy(i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`));
  },
  Metaspace: component => {
    const replacement = text(component, 'replacement', '▁');
    const dropsFirst = text(component, 'prepend_scheme', flag(component, 'add_prefix_space', true) ? 'always' : 'never') !== 'never';
    return tokens => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && dropsFirst ? '' : ' '));
  },
  BPEDecoder: component => {
    const suffix = text(component, 'suffix', '</w>');
    return tokens => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '));
  },
  Replace: component => {
    const [found, content] = [pattern(component), text(component, 'content')];
    return tokens => tokens.map(token => replaceMatches(token, found, content, 'decoder'));
  },
  Strip: component => {
    const content = text(component, 'content');
    const [start, stop] = [integer(component, 'start', 0), integer(component, 'stop', 0)];
    return tokens => tokens.map(token => strip(token, content, start, stop));
  },
  Sequence: (component, depth) => {
    const inner = steps(component, 'decoders').map(step => build('decoder', step, KINDS, depth + 1));
    return tokens => {
      const before = characters(tokens);
      return inner.reduce((current, step) => {
        const next = step(current);
        checkGrowth(before, characters(next), 'decoder');
        return next;
      }, tokens);
    };
  },
};

/** @throws Error for an unknown kind or a wrong field */
export const createDecoder = (value: unknown): Decode | undefined =>
  value === null || value === undefined ? undefined : build('decoder', value, KINDS);

const characters = (texts: readonly string[]): number => texts.reduce((sum, { length }) => sum + length + 1, 0);

const COMMON: ReadonlyArray<readonly [string, string]> = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
];
const VERBS: ReadonlyArray<readonly [string, string]> = [
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];
const replaceAll = (value: string, pairs: ReadonlyArray<readonly [string, string]>): string =>
  pairs.reduce((current, [from, to]) => current.replaceAll(from, to), value);

/** Removes the spaces before punctuation, like `clean_up_tokenization` in Transformers. */
export const cleanUp = (value: string): string => replaceAll(value, [...COMMON, ...VERBS]);

/** Like `cleanUp`, with the one additional rule of WordPiece's `cleanup`. */
const cleanUpToken = (value: string): string => replaceAll(value, [...COMMON, [' do not', " don't"], ...VERBS]);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes byte tokens such as `<0x41>`; if consecutive ones are not valid UTF-8, each becomes U+FFFD. */
const byteFallback: Decode = tokens => {
  const result: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    try {
      result.push(utf8.decode(Uint8Array.from(bytes)));
    } catch {
      result.push('\ufffd'.repeat(bytes.length));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([\dA-Fa-f]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) bytes.push(Number.parseInt(byte, 16));
    else {
      flush();
      result.push(token);
    }
  }
  flush();
  return result;
};

function strip(token: string, content: string, start: number, stop: number): string {
  const characters = Array.from(token);
  let from = 0;
  while (from < start && characters[from] === content) from++;
  let to = characters.length;
  while (to > from && characters.length - to < stop && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}
