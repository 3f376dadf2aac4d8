/**
 * SentencePiece's precompiled character map: byte sequences and their replacements (full-width letters, ligatures, kinds of spaces). It
 * consists of a double-array trie of the keys in darts-clone's layout, followed by the replacements, each terminated by a zero.
 */

const SIZE_BYTES = 4;
/** Maximum bytes of a replacement. Published maps have up to 54 bytes (the ligature ﷺ and similar ones). */
const MAX_REPLACEMENT_BYTES = 1000;

interface Charsmap {
  readonly units: Uint32Array;
  decode(bytes: Uint8Array): string;
  replacementAt(start: number): string | undefined;
}

/** @throws Error if it is not a character map */
function readCharsmap(charsmap: Uint8Array): Charsmap {
  const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.length);
  const trieBytes = charsmap.length < SIZE_BYTES ? -1 : view.getUint32(0, true);
  if (trieBytes < SIZE_BYTES || trieBytes % 4 !== 0 || SIZE_BYTES + trieBytes > charsmap.length)
    throw new Error(`its precompiled map of characters has ${charsmap.length} bytes, others than it says`);
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(SIZE_BYTES + 4 * i, true));
  const replacements = charsmap.subarray(SIZE_BYTES + trieBytes);
  for (let from = 0, end = replacements.indexOf(0); end >= 0; from = end + 1, end = replacements.indexOf(0, from))
    if (end - from > MAX_REPLACEMENT_BYTES)
      throw new Error(
        `its precompiled map of characters has a replacement of ${end - from} bytes; at most ${MAX_REPLACEMENT_BYTES} are read`,
      );
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const replacementAt = (start: number): string | undefined => {
    const end = replacements.indexOf(0, start);
    return end < 0 ? undefined : decoder.decode(replacements.subarray(start, end));
  };
  return { units, decode: bytes => decoder.decode(bytes), replacementAt };
}

const encoder = new TextEncoder();

/**
 * Applies the map like SentencePiece: replaces the longest key at the start of the remaining text.
 * @throws Error if it is not a character map
 */
export function charsmapNormalizer(charsmap: Uint8Array): (text: string) => string {
  const { units, decode, replacementAt } = readCharsmap(charsmap);
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
      result += decode(bytes.subarray(kept, at)) + replacement;
      at += found.length;
      kept = at;
    }
    return kept === 0 ? text : result + decode(bytes.subarray(kept));
  };
}

/** Longest grapheme cluster that is looked up as a whole; longer ones are replaced character by character. */
const MAX_CLUSTER_BYTES = 6;

/**
 * Applies the map like Hugging Face's `Precompiled`: a grapheme cluster is looked up as a whole, otherwise its characters are, each by the
 * shortest key that matches its start.
 * @throws Error if it is not a character map
 */
export function graphemeCharsmapNormalizer(charsmap: Uint8Array): (text: string) => string {
  const { units, replacementAt } = readCharsmap(charsmap);
  const clusters = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const lookUp = (part: string): string | undefined => {
    const found = shortestKey(units, encoder.encode(part));
    return found === undefined ? undefined : replacementAt(found);
  };
  const known = new Map<string, string>();
  const normalizeCluster = (cluster: string): string => {
    const whole = Buffer.byteLength(cluster) < MAX_CLUSTER_BYTES ? lookUp(cluster) : undefined;
    return whole ?? Array.from(cluster, character => lookUp(character) ?? character).join('');
  };
  return text => {
    let result = '';
    for (const { segment } of clusters.segment(text)) {
      let normal = known.get(segment);
      if (normal === undefined) {
        normal = normalizeCluster(segment);
        if (known.size < KNOWN_CLUSTERS) known.set(segment, normal);
      }
      result += normal;
    }
    return result;
  };
}

const KNOWN_CLUSTERS = 10_000;

/** The longest key of the trie that matches the bytes at `from`. */
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

/** The value of the shortest key that matches the start of the bytes. */
function shortestKey(units: Uint32Array, bytes: Uint8Array): number | undefined {
  let node = offsetOf(units[0] ?? 0);
  for (const byte of bytes) {
    node ^= byte;
    const unit = units[node] ?? 0;
    if ((unit & LABEL_MASK) >>> 0 !== byte) return undefined;
    node ^= offsetOf(unit);
    if (unit & HAS_LEAF) return (units[node] ?? 0) & VALUE_MASK;
  }
  return undefined;
}

const HAS_LEAF = 1 << 8;
const VALUE_MASK = 0x7fffffff;
/** Mask for a unit's label. A leaf has the highest bit set, so that it matches no byte. */
const LABEL_MASK = 0x800000ff;

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);

/** The length of a UTF-8 character, from its first byte. */
const characterBytes = (first: number): number => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);
