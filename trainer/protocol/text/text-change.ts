/** The type of a change of a text. */
import type { Range } from '../problem.ts';

/** A text edit as in the Language Server Protocol, with our positions. */
export interface TextChange {
  readonly range: Range;
  readonly newText: string;
}
