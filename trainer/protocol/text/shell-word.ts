/** Paths in commands that are shown to be copied into a shell. */

/** Characters that mean nothing to a POSIX shell, letters of any script among them. */
const PLAIN = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** A path or another text as one word of a command: in quotes where the shell would read it otherwise. */
export const shellWord = (text: string): string => (PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
