/** Converts what the user typed to the tokens that the model reads. */

import { createEncoder } from '../data/example/encoder.ts';
import { chatTemplateOf } from '../format/chat-template/chat-template.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';

export interface EncodedPrompt {
  readonly ids: readonly number[];
  /** True if it was written as a user's turn. */
  readonly chat: boolean;
}

/**
 * Encodes a prompt. With `chat` and a model that has a chat template, it becomes a user's turn followed by the start of the answer;
 * otherwise it is text to continue.
 */
export function encodePrompt(tokenizer: Tokenizer, prompt: string, chat: boolean): EncodedPrompt {
  if (!chat || tokenizer.chatTemplate === undefined) return { ids: createEncoder(tokenizer).start(prompt), chat: false };
  const text = chatTemplateOf(tokenizer).render([{ role: 'user', content: prompt }], { addGenerationPrompt: true });
  // The template already contains the special tokens.
  return { ids: tokenizer.encode(text, { addSpecialTokens: false }), chat: true };
}
