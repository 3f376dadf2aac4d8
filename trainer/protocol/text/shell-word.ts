/** Quotes paths in the commands that messages suggest. */

/** Characters without a special meaning in a POSIX shell, including letters of any script. */
const PLAIN = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** Returns a text as one word of a command, quoted if the shell would otherwise split or expand it. */
export const shellWord = (text: string): string => (PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
