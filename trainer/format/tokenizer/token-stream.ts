/** Decodes token ids to text while they are generated, never splitting a character. */

export interface DecodeStream {
  /** Returns the text that this id completes; empty while a character is incomplete. */
  push(id: number): string;
  /** Returns the remaining text at the end; bytes that do not form a character become U+FFFD. */
  end(): string;
}

/**
 * Maximum number of pending tokens: a character takes at most four byte tokens, so after more undecodable ones the bytes are invalid and
 * shown as they are.
 */
const MAX_PENDING = 8;

/**
 * Decodes a window of the last ids twice, without and with the newest one, and returns the difference: a token's text depends on the tokens
 * before it (a leading space, a byte sequence).
 */
export function decodeStream(decode: (ids: readonly number[]) => string): DecodeStream {
  let context: number[] = [];
  let pending: number[] = [];
  const flush = (): string => {
    const before = decode(context);
    const after = decode([...context, ...pending]);
    context = pending;
    pending = [];
    return after.slice(before.length);
  };
  return {
    push(id) {
      pending.push(id);
      const text = decode([...context, ...pending]);
      return text.endsWith('\ufffd') && pending.length < MAX_PENDING ? '' : flush();
    },
    end: () => (pending.length === 0 ? '' : flush()),
  };
}
