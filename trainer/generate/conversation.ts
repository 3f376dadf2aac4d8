/** The tokens of a conversation that the model reads, and how its tool calls are read. */
import { chatRendererOf, textOfContent } from '../data/chat-renderer.ts';
import type { ChatMessage, ChatRenderer } from '../data/types.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { Conversation } from '../protocol/job-messages.ts';
import { GenerateError } from './decoder.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { type CallReading, toolCalling } from './tool-call-stream.ts';
import { encodeTrainedPrompt, type TrainedStyle } from './trained-prompt.ts';

/**
 * A run that was trained on chats reads the whole conversation. One that was trained on other texts, and a model
 * without a chat template, reads the last message of the user, written as in the training.
 * @throws GenerateError for tools that the model cannot be given, or a conversation without a message of the user
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  { messages, tools = [] }: Conversation,
  style: TrainedStyle | undefined,
): EncodedPrompt & { readonly calls: CallReading | undefined } {
  const last = textOfContent(messages.findLast(({ role }) => role === 'user')?.content);
  if (last === '') throw new GenerateError('the conversation has no message of the user');
  const trained = style && encodeTrainedPrompt(tokenizer, last, style);
  const renderer = chatRendererOf(tokenizer);
  const isChat = renderer !== undefined && (trained === undefined || (trained.chat && isOneTurn(trained.ids, last, renderer, tokenizer)));
  if (!isChat) {
    if (tools.length > 0) throw new GenerateError('this model was not trained on chats, so it cannot be given tools');
    return { ...(trained ?? encodePrompt(tokenizer, last, false)), calls: undefined };
  }
  return { ids: idsOf({ messages, tools }, renderer, tokenizer), chat: true, calls: callReading(tools, renderer, tokenizer) };
}

/** @throws GenerateError for tools that the model is not shown, or whose calls cannot be read */
function callReading(tools: readonly unknown[], renderer: ChatRenderer, tokenizer: Tokenizer): CallReading | undefined {
  if (tools.length === 0) return undefined;
  const calling = toolCalling(renderer, tokenizer);
  if (!calling.passesTools) throw new GenerateError('the chat template of this model passes no tools to it');
  if (calling.form === undefined)
    throw new GenerateError('the chat template of this model writes tool calls in a form that is not recognized');
  return calling.reading(tools);
}

function idsOf({ messages, tools = [] }: Conversation, renderer: ChatRenderer, tokenizer: Tokenizer): readonly number[] {
  const { text } = renderer.render({ messages, ...(tools.length > 0 && { tools }) }, { addGenerationPrompt: true });
  // The template writes the special tokens itself.
  return tokenizer.encode(text, { addSpecialTokens: false });
}

/** Whether the training wrote a prompt as one turn of a user, without words around it. */
function isOneTurn(trained: readonly number[], prompt: string, renderer: ChatRenderer, tokenizer: Tokenizer): boolean {
  const turn: ChatMessage = { role: 'user', content: prompt };
  const ids = idsOf({ messages: [turn] }, renderer, tokenizer);
  return ids.length === trained.length && ids.every((id, i) => id === trained[i]);
}
