/** Limits for untrusted templates: steps, and characters and items in results. */
import { TemplateError } from './template-error.ts';

/** Maximum number of steps; a long conversation takes a few hundred thousand. */
const MAX_STEPS = 5_000_000;
/** Maximum size of one text or list; a conversation of a million tokens has about 5 million characters. */
export const MAX_SIZE = 16 * 1024 * 1024;
/** Maximum number of bits of an integer. */
export const MAX_BITS = 4096;
/** Maximum length of a range, as in Jinja's sandbox. */
export const MAX_RANGE = 100_000;
/** Maximum depth of macro calls, and of groups in a template's source. */
export const MAX_DEPTH = 100;
/** Number of characters read or copied that count as one step. */
const CHARACTERS_PER_STEP = 64;
/** The same for items, and for characters that are processed one by one. */
const ITEMS_PER_STEP = 4;

let steps = 0;

/** Starts a rendering. Renderings never interleave. */
export function resetBudget(): void {
  steps = 0;
}

/**
 * Counts a step, plus the characters that it reads or copies.
 * @throws TemplateError if the template exceeds its limit
 */
export const spend = (characters = 0): void => count(characters, CHARACTERS_PER_STEP);

/** Counts a step, plus the items that it reads or copies. @throws TemplateError as {@link spend} */
export const spendItems = (items: number): void => count(items, ITEMS_PER_STEP);

function count(size: number, perStep: number): void {
  if (size > MAX_SIZE) throw new TemplateError(`the template makes a text or list of ${size} elements; at most ${MAX_SIZE} are allowed`);
  steps += 1 + Math.floor(size / perStep);
  if (steps > MAX_STEPS) throw new TemplateError(`the template takes more than ${MAX_STEPS} steps`);
}
