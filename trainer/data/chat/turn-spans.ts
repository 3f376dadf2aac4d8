/** Finds the span of a turn in the text that a chat template makes of the whole chat. */
import { parseWithFloats } from '../../format/chat-template/float-json.ts';
import { elementAt, isRecord } from '../../narrow.ts';
import { textOfContent } from '../../protocol/text/content-text.ts';
import type { DataPlace } from '../data-error.ts';
import { DataError } from '../data-error.ts';
import { commonEnd, commonStart } from '../tool-calls/marks.ts';
import type { ChatMessage, Conversation } from '../types.ts';
import { isPlacedImage } from '../vision/sample-image.ts';
import { type ChatText, checkTurn } from './check-chat.ts';
import { MARK, render, type Span } from './render-chat.ts';

/**
 * The span of an answer in the whole text: from the end of the generation prompt to its end-of-turn token.
 * @throws DataError if it is not found
 */
export function answerSpan(chat: Conversation, whole: string, index: number, settings: ChatText): Span {
  const from = startOf(chat, whole, index, settings);
  const to = from === undefined ? undefined : endOf(chat, whole, index, settings);
  if (from === undefined || to === undefined || to <= from) throw notFound(settings.place, index);
  checkTurn(whole.slice(from, to), chat, index, settings);
  return [from, to];
}

/**
 * The span of a turn that is not an answer: from the beginning of its text to the marks after it. No generation prompt opens such a turn,
 * so anything that the template writes before its text is context.
 * @param withEnd whether the span includes the marks that end the turn
 * @returns undefined for a turn without text
 * @throws DataError if the template does not write the turn
 */
export function turnSpan(chat: Conversation, whole: string, index: number, withEnd: boolean, settings: ChatText): Span | undefined {
  const message = elementAt(chat.messages, index);
  if (textOfContent(message.content).trim() === '') return undefined;
  const marked = textWith(withMarkedStart(chat, index), settings);
  if (marked.split(MARK).length !== 2) throw notWritten(settings.place, message, chat.keys?.[index]);
  const from = commonStart(whole, marked);
  const end = endOfText(chat, whole, index, settings);
  const to = withEnd ? (endOfTurn(chat, whole, index, settings) ?? end) : end;
  // The text may be followed by more than marks, such as the tools that gpt-oss's template writes below a system message.
  const span: Span = [from, /^\s*\S+$/.test(whole.slice(end, to)) ? to : end];
  checkTurn(whole.slice(...span), chat, index, settings);
  return span;
}

/**
 * The end of the turn as in {@link endOf}, or as far as the marks after the text match. Undefined if the template refuses a chat that ends
 * with this turn.
 */
function endOfTurn(chat: Conversation, whole: string, index: number, settings: ChatText): number | undefined {
  try {
    const found = endOf(chat, whole, index, settings);
    if (found !== undefined) return found;
    const ending = endingOf(chat, index, settings);
    const at = endOfText(chat, whole, index, settings);
    // Keep whole marks such as `</tool_response>` or `[/INST]`: the first difference may be in the middle of a mark.
    const shared = ending.slice(0, commonStart(ending, whole.slice(at)));
    return at + Math.max(shared.lastIndexOf('>'), shared.lastIndexOf(']')) + 1;
  } catch {
    return undefined;
  }
}

/** The end of the generation prompt, or of the part of it that the template writes before an answer. */
function startOf(chat: Conversation, whole: string, index: number, settings: ChatText): number | undefined {
  const prompt = index === 0 ? openingPrompt(chat, settings) : render(chat, index, true, settings).text;
  if (whole.startsWith(prompt)) return prompt.length;
  // Some templates open the reasoning in the generation prompt but write an answer without it. Both may begin with the same characters.
  const shared = Math.min(commonStart(prompt, whole), startOfText(chat, whole, index, settings));
  return index > 0 && shared > render(chat, index, false, settings).text.length ? shared : undefined;
}

/**
 * The offset in the whole text where the text of a turn begins; the end of the turn if it has no text, or if the template removes its
 * beginning.
 */
function startOfText(chat: Conversation, whole: string, index: number, settings: ChatText): number {
  const text = textOfContent(elementAt(chat.messages, index).content);
  if (text.trim() === '') return whole.length;
  return commonStart(whole, textWith(withMarkedStart(chat, index), settings));
}

/** The generation prompt of a chat without turns. @throws DataError if the template writes none */
function openingPrompt(chat: Conversation, settings: ChatText): string {
  try {
    return render(chat, 0, true, settings).text;
  } catch {
    throw beginsWithAnswer(settings.place);
  }
}

const beginsWithAnswer = (place: DataPlace): DataError =>
  new DataError({
    ...place,
    key: 'messages[0]',
    problem: "the chat begins with an answer, and the model's chat template needs a turn before it",
    advice: 'Remove this turn, put the turn that it answers before it, or set data.trained_turns: last',
  });

/**
 * The end of an answer in the whole text. If the text up to and including the answer is a prefix of the whole text, this is the end of that
 * prefix without the white space after the end-of-turn token. Otherwise the template renders an earlier answer differently from a last one,
 * and the end is found by comparing the text with that of the same chat with one character added to the answer.
 */
function endOf(chat: Conversation, whole: string, index: number, settings: ChatText): number | undefined {
  const message = elementAt(chat.messages, index);
  const isLast = index === chat.messages.length - 1;
  const upTo = isLast ? whole : render(chat, index + 1, false, settings).text;
  if (whole.startsWith(upTo)) return upTo.length - trailingSpace(upTo, message);
  const ending = endingOf(chat, index, settings);
  const at = endOfText(chat, whole, index, settings);
  if (whole.startsWith(ending, at)) return at + ending.trimEnd().length;
  const followed = textBeforeTurn(chat, index + 1, settings);
  return followed !== undefined && whole.startsWith(followed) ? followed.length - trailingSpace(followed, message) : undefined;
}

/** The text that the template writes after the text of a turn that ends the chat. */
function endingOf(chat: Conversation, index: number, settings: ChatText): string {
  const upTo = render(chat, index + 1, false, settings).text;
  return upTo.slice(upTo.length - commonEnd(upTo, render(withMarkedEnd(chat, index), index + 1, false, settings).text));
}

/** The offset in the whole text where the text of a turn, or its last call, ends. */
const endOfText = (chat: Conversation, whole: string, index: number, settings: ChatText): number =>
  whole.length - commonEnd(whole, textWith(withMarkedEnd(chat, index), settings));

const textWith = (chat: Conversation, settings: ChatText): string => render(chat, chat.messages.length, false, settings).text;

const withMarkedStart = (chat: Conversation, index: number): Conversation =>
  withMessage(chat, index, message => ({ ...message, content: marked(message.content, text => MARK + text) }));

const withMarkedEnd = (chat: Conversation, index: number): Conversation => withMessage(chat, index, withMark);

const withMessage = (chat: Conversation, index: number, change: (message: ChatMessage) => ChatMessage): Conversation => ({
  ...chat,
  messages: chat.messages.map((each, i) => (i === index ? change(each) : each)),
});

/** The first `count` turns as the template writes them before another turn: gpt-oss ends an answer with a different token there. */
function textBeforeTurn(chat: Conversation, count: number, settings: ChatText): string | undefined {
  const before = render(chat, count - 1, false, settings).text;
  const asked = render(chat, count - 1, true, settings).text;
  const opening = asked.startsWith(before) ? asked.slice(before.length) : '';
  const text = render(chat, count, true, settings).text;
  return opening !== '' && text.endsWith(opening) ? text.slice(0, -opening.length) : undefined;
}

/** The message with a mark at the end of its content: in its last call, or in its text. */
function withMark(message: ChatMessage): ChatMessage {
  const { content, tool_calls: calls } = message;
  if (!Array.isArray(calls)) return { ...message, content: marked(content, text => text.trimEnd() + MARK) };
  return { ...message, tool_calls: calls.map((call, i) => (i === calls.length - 1 ? withMarkedArguments(call) : call)) };
}

/** The content with a mark in its text; images stay in their places before, between and after the texts. */
function marked(content: unknown, mark: (text: string) => string): unknown {
  if (!Array.isArray(content) || !content.some(isPlacedImage)) return mark(textOfContent(content));
  const texts = content.flatMap((part, i) => (isPlacedImage(part) ? [] : [i]));
  // A mark at the start belongs to the first text, and one at the end to the last.
  const at = mark('x').startsWith(MARK) ? texts[0] : texts.at(-1);
  if (at === undefined) return [...content, { type: 'text', text: mark('') }];
  return content.map((part: unknown, i) => (i === at ? { ...(isRecord(part) && part), text: mark(textOfContent([part])) } : part));
}

function withMarkedArguments(call: unknown): unknown {
  const { function: inner, arguments: given, ...others } = isRecord(call) ? call : {};
  if (inner !== undefined) return { ...others, function: withMarkedArguments(inner) };
  const parsed: unknown = typeof given === 'string' ? parseWithFloats(given) : given;
  return { ...others, arguments: { ...(isRecord(parsed) && parsed), mark: MARK } };
}

/** Number of white-space characters after the end-of-turn token; 0 if the turn ends with its own text. */
export function trailingSpace(turn: string, { content, tool_calls: calls }: ChatMessage): number {
  const trimmed = turn.trimEnd();
  const text = textOfContent(content).trimEnd();
  return text !== '' && calls === undefined && trimmed.endsWith(text) ? 0 : turn.length - trimmed.length;
}

function notFound(place: DataPlace, index: number): DataError {
  if (index === 0) return beginsWithAnswer(place);
  return new DataError({
    ...place,
    problem: `the answer of turn ${index + 1} cannot be found in the text that the model's chat template makes of the chat, so it cannot be marked`,
    advice: 'Set data.trained_turns: last to train only the last answer of each chat, or use prompt and completion',
  });
}

const notWritten = (place: DataPlace, { role }: ChatMessage, key: string | undefined): DataError =>
  new DataError({
    ...place,
    key,
    problem: `the model's chat template does not write this turn of the role '${role}' once, so it cannot be trained`,
    advice: `Remove '${role}' from data.trained_roles, or set train: false in this turn`,
  });
