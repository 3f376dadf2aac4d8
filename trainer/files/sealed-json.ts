/** JSON files with a checksum of their own text as the last key, so that a flipped bit in a small file is detected, too. */
import { isRecord } from '../narrow.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { checksum, MISMATCH, showChecksum } from './checksum.ts';
import { parseStrictJson } from './strict-json.ts';

const KEY = 'crc32';
const SEAL = new RegExp(`,\\n {2}"${KEY}": "([0-9a-f]{8})"\\n\\}\\n$`);

/** Adds the checksum. @param json an object with at least one key, indented by two spaces */
export function sealJson(json: string): string {
  const body = json.trimEnd().replace(/\n\}$/, '');
  return `${body},\n  "${KEY}": "${checksumOf(body)}"\n}\n`;
}

/**
 * Parses the output of `sealJson` or of an older version, which had no checksum.
 * @throws Error that describes the problem
 */
export function parseSealedJson(text: string): { readonly value: unknown; readonly isSealed: boolean } {
  const seal = SEAL.exec(text);
  if (seal && seal[1] !== checksumOf(text.slice(0, seal.index))) throw new Error(MISMATCH);
  const value = parsed(text);
  if (!seal && isRecord(value)) {
    // A damaged key or damaged digits must not pass for a file without a checksum.
    const [name, last] = Object.entries(value).at(-1) ?? [];
    if (name === KEY || (typeof last === 'string' && /^[0-9a-f]{8}$/.test(last))) throw new Error(MISMATCH);
  }
  return { value, isSealed: seal !== null };
}

/** Returns the value of a JSON text. @throws Error that says where the text is not JSON, in place of the system's, which quotes its bytes */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    try {
      parseStrictJson(text);
    } catch (located) {
      throw new Error(`it is not valid JSON: ${messageOf(located)}`, { cause: error });
    }
    throw error;
  }
}

const checksumOf = (text: string): string => showChecksum(checksum(Buffer.from(text)));
