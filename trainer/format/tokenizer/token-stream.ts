/** Token ids to text as they are generated, never half a character. */

export interface DecodeStream {
  /** The text that became certain with this id; empty while a character is incomplete. */
  push(id: number): string;
  /** Returns the rest at the end; bytes that never became a character appear as U+FFFD. */
  end(): string;
}

/** A character takes at most four byte tokens; after more undecodable ones the bytes are broken and are shown as they are. */
const MAX_PENDING = 8;

/**
 * Decodes a window of the last ids twice, without and with the newest, and gives the difference: what a token's text is depends on the
 * tokens before it (a leading space, a byte sequence).
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
