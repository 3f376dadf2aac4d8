/** Finds JSON objects in a text. */
import { recordIn } from '../../narrow.ts';

export interface FoundObject {
  readonly start: number;
  /** Offset after the object. */
  readonly end: number;
  readonly value: Readonly<Record<string, unknown>>;
}

/** The outermost JSON objects in a text, with their offsets. */
export function* jsonObjects(text: string): Generator<FoundObject> {
  for (let start = text.indexOf('{'); start >= 0; ) {
    const found = jsonObjectAt(text, start);
    if (found !== undefined) yield found;
    start = text.indexOf('{', found?.end ?? start + 1);
  }
}

/** The JSON object that begins at a brace; undefined if there is none. */
export function jsonObjectAt(text: string, start: number): FoundObject | undefined {
  const end = endOfObject(text, start);
  const value = end === undefined ? undefined : recordIn(text.slice(start, end));
  return end === undefined || value === undefined ? undefined : { start, end, value };
}

/** The offset after the brace that closes the one at `start`; undefined if none does. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0;
  let isText = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (isText) {
      if (character === '\\') i++;
      else if (character === '"') isText = false;
    } else if (character === '"') isText = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return i + 1;
  }
  return undefined;
}
