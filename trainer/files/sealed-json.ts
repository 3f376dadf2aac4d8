/** JSON files with a checksum of their own text as the last key, so that a flipped bit in a small file is found too. */
import { isRecord } from '../narrow.ts';
import { checksum, MISMATCH, showChecksum } from './checksum.ts';

const KEY = 'crc32';
const SEAL = new RegExp(`,\\n {2}"${KEY}": "([0-9a-f]{8})"\\n\\}\\n$`);

/** @param json an object of at least one key, indented by two spaces */
export function sealJson(json: string): string {
  const body = json.trimEnd().replace(/\n\}$/, '');
  return `${body},\n  "${KEY}": "${checksumOf(body)}"\n}\n`;
}

/**
 * Parses what `sealJson` or an older version wrote, which had no checksum.
 * @throws Error that says what is wrong
 */
export function parseSealedJson(text: string): { readonly value: unknown; readonly isSealed: boolean } {
  const seal = SEAL.exec(text);
  if (seal && seal[1] !== checksumOf(text.slice(0, seal.index))) throw new Error(MISMATCH);
  const value: unknown = JSON.parse(text);
  if (!seal && isRecord(value)) {
    // A key or its digits that are damaged must not pass for a file without a checksum.
    const [name, last] = Object.entries(value).at(-1) ?? [];
    if (name === KEY || (typeof last === 'string' && /^[0-9a-f]{8}$/.test(last))) throw new Error(MISMATCH);
  }
  return { value, isSealed: seal !== null };
}

const checksumOf = (text: string): string => showChecksum(checksum(Buffer.from(text)));
