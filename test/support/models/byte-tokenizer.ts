/** A byte-level tokenizer like GPT-2's, with a chat template like SmolLM2's. */

export const CHATML =
  "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const MERGES = ['w o', 'wo r', 'wor d', 'Ġ word', '1 2', 's t', 'e r', 'Ġ Ġ', 'a n'].map(pair => pair.split(' '));
const MARKS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];

interface ByteSettings {
  readonly merges?: string[][];
  readonly normalizer?: object | undefined;
  /** Bytes that no token contains. */
  readonly without?: readonly number[];
}

/** Returns the text of a tokenizer.json with 259 ids, and nine more with some merges. */
export function byteLevelTokenizer({ merges = MERGES, normalizer, without = [] }: ByteSettings = {}): string {
  const printable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  const alphabet = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
  const tokens = [...alphabet.filter((_, byte) => !without.includes(byte)), ...merges.map(pair => pair.join(''))];
  return JSON.stringify({
    added_tokens: MARKS.map((content, i) => ({ id: tokens.length + i, content, special: true, normalized: false })),
    normalizer: normalizer ?? null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  });
}

/** Returns the text of a tokenizer.json like SentencePiece's: lowercase letters are pieces, and everything else falls back to bytes. */
export function pieceTokenizer({ prefix = false }: { readonly prefix?: boolean } = {}): string {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = ['\u2581', ...'abcdefghijklmnopqrstuvwxyz'];
  const merges = ['w o', 'wo r', 'wor d', '\u2581 word', 's t', 'e r', '\u2581 \u2581'].map(pair => pair.split(' '));
  const tokens = ['<unk>', ...bytes, ...letters, ...merges.map(pair => pair.join(''))];
  const marks = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
  return JSON.stringify({
    added_tokens: MARKS.map((content, i) => ({ id: tokens.length + i, content, special: true, normalized: false })),
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, marks] } : marks,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'Replace', pattern: { String: '\u2581' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }],
    },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
      unk_token: '<unk>',
      byte_fallback: true,
      fuse_unk: true,
    },
  });
}
