/** Lists the keys of a sample, or the columns of a file, in a message. */

/** Enough keys to recognize the columns of a file. */
const MAX_KEYS = 20;

/** Keys for a message: "text", "label", or the first of many and the number of the others. */
export function listedKeys(keys: readonly string[]): string {
  const shown = keys.slice(0, MAX_KEYS).map(key => `"${key}"`);
  return shown.join(', ') + (keys.length > MAX_KEYS ? ` and ${keys.length - MAX_KEYS} more` : '');
}
