/** Checks that a template does not drop data: the fields of a chat, its tools, and all parts of a trained answer must reach the text. */
import { elementAt, isRecord } from '../../narrow.ts';
import { textOfContent } from '../../protocol/text/content-text.ts';
import type { DataPlace } from '../data-error.ts';
import { DataError } from '../data-error.ts';
import type { ChatMessage, ChatRenderer, Conversation } from '../types.ts';

export interface ChatText {
  readonly renderer: ChatRenderer;
  readonly place: DataPlace;
}

/** Field names under which templates read reasoning. */
const REASONING = ['reasoning_content', 'thinking'];
/** Fields of a message that may hold the reasoning of an answer. */
export const reasoningFields = [...REASONING, 'reasoning'];
const CARRIED: ReadonlyMap<string, readonly string[]> = new Map([
  ['tools', ['tools']],
  ['documents', ['documents']],
  ['tool_calls', ['tool_calls']],
  ...reasoningFields.map((field): [string, string[]] => [field, REASONING]),
]);

/** @throws DataError for a field that the template never mentions although it holds text that the model should read or write */
export function checkFields(chat: Conversation, { renderer, place }: ChatText): void {
  const check = (field: string, key: string): void => {
    const names = CARRIED.get(field);
    if (names === undefined || names.some(name => renderer.mentions(name))) return;
    throw new DataError({
      ...place,
      key,
      problem: "the model's chat template does not use this field, so it would be lost",
      advice: `Take a model whose template reads ${names.join(' or ')}, ${field === 'tool_calls' ? 'write the calls into the content as the model writes them, ' : ''}or remove the field from the data`,
    });
  };
  if (chat.tools) check('tools', 'tools');
  if (chat.documents) check('documents', 'documents');
  chat.messages.forEach((message, i) => {
    const at = chat.keys?.[i];
    for (const field of Object.keys(message)) check(field, at === undefined ? field : `${at}.${field}`);
  });
}

/** @throws DataError if the text lacks the name of a tool: some templates read tools only from a message */
export function checkTools({ tools = [] }: Conversation, text: string, { place }: ChatText): void {
  const missing = tools.findIndex(tool => !text.includes(nameOfCall(tool)));
  if (missing < 0) return;
  throw new DataError({
    ...place,
    key: `tools[${missing}]`,
    problem: "the model's chat template does not write this tool, so it would be lost",
    advice: 'Write the tools where the template reads them (some read them from the system message), or remove them',
  });
}

/** @throws DataError if the text of a trained turn lacks a part of the message: its text, its reasoning or a call */
export function checkTurn(turn: string, { messages, keys }: Conversation, index: number, { place }: ChatText): void {
  const message = elementAt(messages, index);
  const text = squeezed(turn);
  const missing = partsOf(message).find(part => !text.includes(squeezed(part)));
  if (missing === undefined) return;
  const shown = missing.trim().slice(0, 40);
  const isAnswer = message.role === 'assistant';
  throw new DataError({
    ...place,
    key: keys?.[index],
    problem: `the model's chat template leaves out a part of this ${isAnswer ? 'answer' : `turn of the role '${message.role}'`} ("${shown}${missing.trim().length > 40 ? '…' : ''}")`,
    advice: isAnswer
      ? 'Set data.trained_turns: last where it leaves it out of earlier answers only; otherwise remove that part from the data'
      : `Remove '${message.role}' from data.trained_roles, or that part from the data`,
  });
}

/** The parts of an answer: its text, split at the reasoning tags that templates move, and the names of the functions that it calls. */
function partsOf({ content, tool_calls: calls, reasoning_content: reasoning }: ChatMessage): string[] {
  const texts = [...textOfContent(content).split(/<\/?think>/), ...(typeof reasoning === 'string' ? [reasoning] : [])];
  const names = Array.isArray(calls) ? calls.map(nameOfCall) : [];
  return [...texts, ...names].filter(text => text.trim() !== '');
}

/** The name of a function, in a call or a description. */
function nameOfCall(call: unknown): string {
  const { function: inner, name } = isRecord(call) ? call : {};
  const found = (isRecord(inner) ? inner.name : undefined) ?? name;
  return typeof found === 'string' ? found : '';
}

/** The text with each run of white space replaced by one space, and trimmed. */
export const squeezed = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** Fields that every template reads, and `tool_call_id`, which only links a result to its call. */
const COMMON = new Set(['role', 'content', 'tool_call_id']);

/** Remarks on fields that the template does not use, and on reasoning that it removes. */
export function notesOf({ messages }: Conversation, whole: string, { renderer }: ChatText): string[] {
  const fields = new Set(messages.flatMap(message => Object.keys(message)));
  const unused = [...fields].filter(field => !COMMON.has(field) && !CARRIED.has(field) && !renderer.mentions(field));
  const reasoning = messages.flatMap(({ reasoning_content: text }) => (typeof text === 'string' ? [squeezed(text)] : []));
  const text = reasoning.length > 0 ? squeezed(whole) : '';
  const removed = reasoning.some(each => !text.includes(each));
  return [
    ...unused.map(field => `have the field '${field}', which the model's chat template does not use`),
    ...(removed ? ["have earlier answers whose reasoning the model's chat template removes"] : []),
  ];
}
