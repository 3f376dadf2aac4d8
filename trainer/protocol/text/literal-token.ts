/** Access tokens in a recipe: finds them, and masks them in messages. */

/** Prefixes of Hugging Face, OpenAI-style, GitHub and Weights & Biases keys, each with a minimum length that excludes ordinary words. */
const TOKEN = /\b(?:hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})/g;

/** Offsets of the tokens in a text. */
export const findTokens = (text: string): { start: number; end: number }[] =>
  [...text.matchAll(TOKEN)].map(found => ({ start: found.index, end: found.index + found[0].length }));

/** The text with the characters of every token after its first three replaced by asterisks; its length does not change. */
export const maskTokens = (text: string): string => text.replace(TOKEN, token => token.slice(0, 3) + '*'.repeat(token.length - 3));
