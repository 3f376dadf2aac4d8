/** Converts a conversation to the tokens that the model reads, and determines how its answer is parsed. */
import { chatRendererOf } from '../data/chat/chat-renderer.ts';
import type { ChatMessage, ChatRenderer } from '../data/types.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { Conversation } from '../protocol/messages/job-messages.ts';
import { textOfContent } from '../protocol/text/content-text.ts';
import { type AnswerReading, answerForms } from './answer-parts.ts';
import { GenerateError } from './decoder.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { encodeTrainedPrompt, type TrainedStyle } from './trained-prompt.ts';

/**
 * Encodes a conversation. A run that was trained on chats reads all of it. A run trained on other texts, or a model without a chat
 * template, reads the last user message, written as in training.
 * @param placeholder the text by which the template marks an image, if the model reads images
 * @throws GenerateError for tools that the model does not support, or a conversation without a user message
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  { messages, tools = [] }: Conversation,
  style: TrainedStyle | undefined,
  placeholder?: string | undefined,
): EncodedPrompt & { readonly reading: AnswerReading | undefined } {
  const last = textOfContent(messages.findLast(({ role }) => role === 'user')?.content);
  if (last === '') throw new GenerateError('the conversation has no message of the user');
  const trained = style && encodeTrainedPrompt(tokenizer, last, style);
  const renderer = chatRendererOf(tokenizer, undefined, placeholder);
  const isChat = renderer !== undefined && (trained === undefined || (trained.chat && isOneTurn(trained.ids, last, renderer, tokenizer)));
  if (!isChat) {
    if (tools.length > 0) throw new GenerateError('this model was not trained on chats, so it cannot be given tools');
    return withReading(tokenizer, trained ?? encodePrompt(tokenizer, last, false));
  }
  const forms = answerForms(renderer, tokenizer);
  if (tools.length > 0 && !forms.passesTools) throw new GenerateError('the chat template of this model passes no tools to it');
  if (tools.length > 0 && forms.form === undefined)
    throw new GenerateError('the chat template of this model writes tool calls in a form that is not recognized');
  const ids = idsOf({ messages, tools }, renderer, tokenizer);
  return { ids, chat: true, reading: forms.reading(ids, tools) };
}

/** A prompt with its way to parse the answer: as plain text, unless the chat template wrote the prompt. */
export function withReading<Prompt extends EncodedPrompt>(
  tokenizer: Tokenizer,
  prompt: Prompt,
): Prompt & { readonly reading: AnswerReading | undefined } {
  const renderer = prompt.chat ? chatRendererOf(tokenizer) : undefined;
  return { ...prompt, reading: renderer && answerForms(renderer, tokenizer).reading(prompt.ids) };
}

function idsOf({ messages, tools = [] }: Conversation, renderer: ChatRenderer, tokenizer: Tokenizer): readonly number[] {
  const { text } = renderer.render({ messages, ...(tools.length > 0 && { tools }) }, { addGenerationPrompt: true });
  // The template already contains the special tokens.
  return tokenizer.encode(text, { addSpecialTokens: false });
}

/** True if training wrote a prompt as a single user turn, without text around it. */
function isOneTurn(trained: readonly number[], prompt: string, renderer: ChatRenderer, tokenizer: Tokenizer): boolean {
  const turn: ChatMessage = { role: 'user', content: prompt };
  const ids = idsOf({ messages: [turn] }, renderer, tokenizer);
  return ids.length === trained.length && ids.every((id, i) => id === trained[i]);
}
