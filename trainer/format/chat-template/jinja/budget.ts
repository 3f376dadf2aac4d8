/** The limits of a stranger's template: steps, and characters and items in its results. */
import { TemplateError } from './template-error.ts';

/** A long conversation takes some hundred thousand. */
const MAX_STEPS = 5_000_000;
/** The largest size of one text or list; a conversation of a million tokens has some 5 million characters. */
export const MAX_SIZE = 16 * 1024 * 1024;
/** The binary digits of one number. */
export const MAX_BITS = 4096;
/** As the sandbox of Jinja has it. */
export const MAX_RANGE = 100_000;
/** Macros inside macros; groups inside groups where a template is parsed. */
export const MAX_DEPTH = 100;
/** Reading or copying so many characters counts as a step. */
const CHARACTERS_PER_STEP = 64;
/** The same of items, and of characters that are looked at one by one. */
const ITEMS_PER_STEP = 4;

let steps = 0;

/** Begins a rendering, which is never interrupted by another. */
export function resetBudget(): void {
  steps = 0;
}

/**
 * Counts a step, and the characters that it reads or copies.
 * @throws TemplateError when the template has taken too much
 */
export const spend = (characters = 0): void => count(characters, CHARACTERS_PER_STEP);

/** Counts a step, and the items that it reads or copies. @throws TemplateError as {@link spend} */
export const spendItems = (items: number): void => count(items, ITEMS_PER_STEP);

function count(size: number, perStep: number): void {
  if (size > MAX_SIZE) throw new TemplateError(`the template makes a text or list of ${size} elements; at most ${MAX_SIZE} are allowed`);
  steps += 1 + Math.floor(size / perStep);
  if (steps > MAX_STEPS) throw new TemplateError(`the template takes more than ${MAX_STEPS} steps`);
}
