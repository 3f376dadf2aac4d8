/** GPT-2's alphabet: represents each byte as a visible character, so that a space is `Ġ`. */

const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** The character of each byte. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const CHARACTER_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Converts text to one visible character per byte. */
export function toByteCharacters(text: string): string {
  let result = '';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return result + Array.from(encoder.encode(text.slice(i)), byte => BYTE_CHARACTERS[byte]).join('');
    result += BYTE_CHARACTERS[unit];
  }
  return result;
}

/** Converts tokens to text. A token with a character outside the alphabet is already text; invalid UTF-8 becomes U+FFFD. */
export function fromByteCharacters(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const own = Array.from(token, character => CHARACTER_BYTES.get(character));
    if (own.every(byte => byte !== undefined)) for (const byte of own) bytes.push(byte);
    else for (const byte of encoder.encode(token)) bytes.push(byte);
  }
  return decoder.decode(Uint8Array.from(bytes));
}
