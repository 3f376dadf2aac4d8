/**
 * Converts the messages of the editor's chat to the conversation that a model reads. Does not import vscode: the kind of a part follows
 * from its fields.
 */
import { isRecord } from '../../trainer/narrow.ts';
import type { Conversation, ConversationMessage } from '../../trainer/protocol/messages/job-messages.ts';
import { imagesProblem } from '../../trainer/protocol/prompt-images.ts';
import { textOfContent } from '../../trainer/protocol/text/content-text.ts';
import type { ChatRequestMessage, ChatResponseOptions } from './chat-provider-api.ts';

const ROLES: Readonly<Record<number, string>> = { 1: 'user', 2: 'assistant' };
const REQUIRED = 2;

/** @throws Error for parts that cannot be passed to a model */
export function conversationOf(
  messages: readonly ChatRequestMessage[],
  { tools = [], toolMode }: ChatResponseOptions,
  { readsImages }: { readonly readsImages: boolean },
): Conversation {
  checkImages(messages, readsImages);
  if (tools.length > 0 && toolMode === REQUIRED) throw new Error('A run cannot be made to call a tool. Let the model decide.');
  const described = tools.map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, description, parameters: inputSchema ?? { type: 'object', properties: {} } },
  }));
  /** Names of the called tools, by call id. */
  const names = new Map<string, string>();
  return { messages: joined(messages.flatMap(message => turnsOf(message, names))), ...(described.length > 0 && { tools: described }) };
}

/** An image in a message of the editor: its `LanguageModelDataPart`. */
interface ImageData {
  readonly mimeType: string;
  readonly data: Uint8Array;
}

const isImage = (part: object | string): part is ImageData =>
  isRecord(part) && String(part.mimeType).startsWith('image/') && part.data instanceof Uint8Array;

/** @throws Error if the model reads no images, or if they are too many or too large */
function checkImages(messages: readonly ChatRequestMessage[], readsImages: boolean): void {
  const images = messages.flatMap(({ content }) => content.filter(isImage));
  if (images.length > 0 && !readsImages) throw new Error('This model reads text only. Remove the image.');
  const problem = imagesProblem(images.map(({ data }) => data.length));
  if (problem !== undefined) throw new Error(`${problem} All images of a chat count: start a new chat.`);
}

/** The text of a message whose tokens are counted: words, tool calls and results. */
export const countedText = (message: string | ChatRequestMessage): string =>
  typeof message === 'string'
    ? message
    : turnsOf(message, new Map())
        .map(({ content, tool_calls: calls }) => `${textOfContent(content)}${calls === undefined ? '' : JSON.stringify(calls)}`)
        .join('\n');

/** Tool results become messages of their own, before the text of the user. */
function turnsOf({ role, content }: ChatRequestMessage, names: Map<string, string>): readonly ConversationMessage[] {
  const results: ConversationMessage[] = [];
  const calls: object[] = [];
  let text = '';
  /** The content up to the last image. */
  const parts: object[] = [];
  const endText = (): void => {
    if (text !== '') parts.push({ type: 'text', text });
    text = '';
  };
  for (const part of content) {
    if (typeof part === 'string') text += part;
    else if ('callId' in part && 'input' in part && 'name' in part) {
      names.set(String(part.callId), String(part.name));
      calls.push({ id: part.callId, type: 'function', function: { name: part.name, arguments: part.input } });
    } else if ('callId' in part && 'content' in part) {
      const name = names.get(String(part.callId));
      results.push({ role: 'tool', tool_call_id: part.callId, ...(name !== undefined && { name }), content: textOf(part.content) });
    } else if ('value' in part && typeof part.value === 'string') text += part.value;
    else if (isImage(part)) {
      endText();
      parts.push({ type: 'image', image: `data:${part.mimeType};base64,${Buffer.from(part.data).toString('base64')}` });
    }
  }
  if (parts.length > 0) endText();
  const isEmpty = parts.length === 0 && text === '';
  const own: ConversationMessage = {
    role: ROLES[role] ?? 'system',
    content: parts.length > 0 ? parts : text,
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return isEmpty && calls.length === 0 ? results : [...results, own];
}

const textOf = (content: unknown): string =>
  Array.isArray(content)
    ? content
        .map((part: unknown) => (isRecord(part) ? (typeof part.value === 'string' ? part.value : JSON.stringify(part.value ?? '')) : ''))
        .join('')
    : '';

/** Merges consecutive messages of the user, because the editor sends context as several messages and chat templates expect turns. */
function joined(messages: readonly ConversationMessage[]): readonly ConversationMessage[] {
  const turns: ConversationMessage[] = [];
  for (const message of messages) {
    const before = turns.at(-1);
    const isSame = before !== undefined && before.role === message.role && message.role !== 'tool' && before.tool_calls === undefined;
    if (isSame) turns[turns.length - 1] = { ...message, content: joinedContent(before.content, message.content) };
    else turns.push(message);
  }
  return turns;
}

const joinedContent = (first: unknown, second: unknown): unknown =>
  Array.isArray(first) || Array.isArray(second)
    ? [...partsOf(first), { type: 'text', text: '\n\n' }, ...partsOf(second)]
    : `${String(first)}\n\n${String(second)}`;

const partsOf = (content: unknown): readonly unknown[] => (Array.isArray(content) ? content : [{ type: 'text', text: String(content) }]);
