/** The text of a recipe after a change of the linter, as an editor makes it; the same text without a change. */
import type { TextChange } from '../../trainer/lint/text-edits.ts';
import { offsetsIn } from '../../trainer/protocol/text/line-starts.ts';

export function applyChange(text: string, change: TextChange | undefined): string {
  if (change === undefined) return text;
  const offset = offsetsIn(text);
  return text.slice(0, offset(change.range.start)) + change.newText + text.slice(offset(change.range.end));
}
