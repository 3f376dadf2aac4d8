/** Formats a recipe: two spaces of indentation, one space after a colon. Comments and order stay unchanged. Pure. */
import path from 'node:path';
import { keepAlignment, parseForEditing, plainLines, smallestChange, withLineEndsOf } from '../trainer/lint/text-edits.ts';
import type { TextChange } from '../trainer/protocol/text/text-change.ts';

/** Returns undefined if the text has syntax errors or is already formatted. */
export function formatRecipe(text: string, file: string): TextChange | undefined {
  const plain = plainLines(text);
  const document = parseForEditing(plain);
  if (document.errors.length > 0 || document.contents === null) return undefined;
  const formatted =
    path.extname(file) === '.json'
      ? `${JSON.stringify(document.toJS(), undefined, 2)}\n`
      : keepAlignment(plain, document.toString({ lineWidth: 0, indent: 2, flowCollectionPadding: false }));
  return smallestChange(text, withLineEndsOf(text, formatted));
}
