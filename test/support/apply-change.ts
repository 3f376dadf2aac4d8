/** Applies a change to the text of a recipe, as an editor does; without a change, the text stays the same. */
import { offsetsIn } from '../../trainer/protocol/text/line-starts.ts';
import type { TextChange } from '../../trainer/protocol/text/text-change.ts';

export function applyChange(text: string, change: TextChange | undefined): string {
  if (change === undefined) return text;
  const offset = offsetsIn(text);
  return text.slice(0, offset(change.range.start)) + change.newText + text.slice(offset(change.range.end));
}
