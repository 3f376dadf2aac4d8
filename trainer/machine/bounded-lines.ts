/**
 * Splits a stream into lines of bounded length: a program that writes no line ends must not fill its parent's memory.
 */
import type { Readable } from 'node:stream';

/** Room for a stack trace, or for an engine message with a few shapes. */
const MAX_LINE_CHARACTERS = 16_384;

export function onLines(stream: Readable, listener: (line: string) => void): void {
  let rest = '';
  let isTruncated = false;
  const end = (): void => {
    if (!isTruncated && rest !== '') listener(rest.replace(/\r$/, ''));
    rest = '';
    isTruncated = false;
  };
  const take = (text: string): void => {
    if (isTruncated) return;
    rest += text;
    if (rest.length <= MAX_LINE_CHARACTERS) return;
    listener(`${rest.slice(0, MAX_LINE_CHARACTERS)} …`);
    rest = '';
    isTruncated = true;
  };
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const [first = '', ...more] = chunk.split('\n');
    take(first);
    for (const text of more) {
      end();
      take(text);
    }
  });
  stream.on('end', end);
}
