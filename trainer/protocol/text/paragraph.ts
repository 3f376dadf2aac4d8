/** Turns a message of several lines into one paragraph, for notifications and headings. The log has the whole message. */

/** Maximum number of entries of a list to show. */
const MAX_ENTRIES = 2;
const ENTRY = /^\s+(?:- )?(\S.*)$/;
const MORE = /^and ([\d,]+) more$/;

/** Joins the lines of a message. Of a long list after a colon, keeps the first entry and the number of others, so that advice after it is seen. */
export function asParagraph(message: string): string {
  const parts: string[] = [];
  let entries: string[] = [];
  const endList = (): void => {
    if (entries.length > 0) parts.push(listText(entries));
    entries = [];
  };
  for (const line of message.trim().split('\n')) {
    const isInList = entries.length > 0 || parts.at(-1)?.endsWith(':') === true;
    const entry = ENTRY.exec(line)?.[1];
    if (isInList && entry !== undefined) {
      entries.push(entry);
      continue;
    }
    const isAfterList = entries.length > 0;
    endList();
    const last = parts.at(-1);
    if (isAfterList && last !== undefined && line.trim() !== '') parts[parts.length - 1] = withStop(last);
    parts.push(line);
  }
  endList();
  return parts.join(' ').replace(/\s+/g, ' ').trim();
}

function listText(entries: readonly string[]): string {
  const last = entries.at(-1) ?? '';
  const unlisted = Number((MORE.exec(last)?.[1] ?? '0').replaceAll(',', ''));
  const listed = unlisted > 0 ? entries.slice(0, -1) : entries;
  const count = listed.length + unlisted;
  if (count <= MAX_ENTRIES) return listed.join('; ');
  return `${listed[0] ?? ''}, and ${count - 1} more`;
}

/** The text with a period, unless it ends like a sentence. */
export const withStop = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);
