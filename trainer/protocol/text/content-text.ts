/** The text in the content of a message of a chat. */
import { isRecord } from '../../narrow.ts';

/** The text of a message's content: a string, or the joined text of its parts. */
export const textOfContent = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map(part => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
      : '';
