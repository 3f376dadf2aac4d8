/**
 * SentencePiece's precompiled map of characters: which bytes of a text stand for which others (full-width letters, ligatures, kinds of
 * spaces). A double-array trie of the keys in darts-clone's layout, then the replacements, each ended by a zero.
 */

const SIZE_BYTES = 4;

/** @throws Error for what is no such map */
export function charsmapNormalizer(charsmap: Uint8Array): (text: string) => string {
  const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.length);
  const trieBytes = charsmap.length < SIZE_BYTES ? -1 : view.getUint32(0, true);
  if (trieBytes < SIZE_BYTES || trieBytes % 4 !== 0 || SIZE_BYTES + trieBytes > charsmap.length)
    throw new Error(`its precompiled map of characters has ${charsmap.length} bytes, others than it says`);
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(SIZE_BYTES + 4 * i, true));
  const replacements = charsmap.subarray(SIZE_BYTES + trieBytes);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const replacementAt = (start: number): string | undefined => {
    const end = replacements.indexOf(0, start);
    return end < 0 ? undefined : decoder.decode(replacements.subarray(start, end));
  };
  return text => {
    const bytes = encoder.encode(text);
    let result = '';
    let kept = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = longestKey(units, bytes, at);
      const replacement = found === undefined ? undefined : replacementAt(found.value);
      if (found === undefined || replacement === undefined) {
        at += characterBytes(bytes[at] as number);
        continue;
      }
      result += decoder.decode(bytes.subarray(kept, at)) + replacement;
      at += found.length;
      kept = at;
    }
    return kept === 0 ? text : result + decoder.decode(bytes.subarray(kept));
  };
}

/** The longest key of the trie that the bytes at `from` begin with. */
function longestKey(units: Uint32Array, bytes: Uint8Array, from: number): { readonly value: number; readonly length: number } | undefined {
  let found: { value: number; length: number } | undefined;
  let unit = units[0] ?? 0;
  let node = offsetOf(unit);
  for (let i = from; i < bytes.length; i++) {
    node ^= bytes[i] as number;
    unit = units[node] ?? 0;
    if ((unit & LABEL_MASK) >>> 0 !== bytes[i]) return found;
    node ^= offsetOf(unit);
    if (unit & HAS_LEAF) found = { value: (units[node] ?? 0) & VALUE_MASK, length: i + 1 - from };
  }
  return found;
}

const HAS_LEAF = 1 << 8;
const VALUE_MASK = 0x7fffffff;
/** A leaf has the highest bit set, so that it is the label of no byte. */
const LABEL_MASK = 0x800000ff;

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);

/** Of a character of UTF-8, by its first byte. */
const characterBytes = (first: number): number => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);
