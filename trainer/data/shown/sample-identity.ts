/** Identifies samples by their tokens, to find duplicates. */
import { createHash } from 'node:crypto';
import type { TokenSequence } from '../types.ts';

/** Number of characters of an identity: 96 bits. The probability that two of a billion samples agree by chance is 1 in 10¹¹. */
const LENGTH = 16;

export function identityOf(...parts: readonly (Int32Array | Uint8Array | string | number)[]): string {
  const hash = createHash('sha1');
  for (const part of parts) {
    if (typeof part === 'string' || typeof part === 'number') hash.update(`${part}\0`);
    else hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength)).update(`\0${part.length}\0`);
  }
  return hash.digest('base64').slice(0, LENGTH);
}

/** The tokens before the last answer: its prompt, or the chat before the last turn; for plain text, all tokens. */
export function inputOf({ ids, answers = [] }: TokenSequence): Int32Array {
  const at = answers.at(-1) ?? 0;
  return at > 1 ? ids.subarray(0, at) : ids;
}
