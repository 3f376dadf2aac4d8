/**
 * Proves that a chat keeps a token of its first trained answer. The text in front of that answer is never longer than the prompt for which the
 * model would write it (`turn-spans.ts`). Chats of plain texts are measured by the text that the template writes around the texts of any chat
 * with the same roles; others by running the template up to the answer.
 */
import { elementAt } from '../../narrow.ts';
import { textOfContent } from '../chat/chat-renderer.ts';
import { checkFields } from '../chat/check-chat.ts';
import type { ContextPart } from '../chat/context-parts.ts';
import { beginsEmpty, chatPieces, type TurnChoice, trainedTurnsOf, withoutFirst } from '../chat/format-chat.ts';
import type { DataPlace } from '../data-error.ts';
import { DataError } from '../data-error.ts';
import { functionOf } from '../tool-calls/function-of.ts';
import type { ChatMessage, ChatRenderer, Conversation, RenderedChat } from '../types.ts';
import { type CutFrame, cutFrame, findFrame, promptIn } from './prompt-frame.ts';
import type { Room, TextBounds } from './text-bounds.ts';

export interface ProofSettings extends TurnChoice {
  readonly renderer: ChatRenderer;
  /** The parts of answers that are context; left out, none. */
  readonly contextParts?: readonly ContextPart[] | undefined;
  /** False trains every token. */
  readonly completionOnly: boolean;
  /** In tokens. */
  readonly maxLength: number;
}

/** Longer chats have too many shapes. */
const MOST_TURNS = 32;
const MOST_SHAPES = 1000;

/** The answer that is looked for. */
interface Answer {
  readonly index: number;
  /** Whether all of it has to fit: a call is not cut, and a chat may end after a trained turn of another role in front of it. */
  readonly isWhole: boolean;
}

/**
 * Returns whether a chat surely keeps a target. Where it does not, tokenizing the chat shows whether it does, or what is wrong with it.
 * @throws DataError from the function that is returned, for a field that the template does not use
 */
export function chatProof(
  settings: ProofSettings,
  bounds: TextBounds,
  specialTexts: readonly string[],
): (chat: Conversation, place: DataPlace) => boolean {
  const frames = new Map<string, CutFrame | 'refused' | undefined>();
  const hasContext = (settings.contextParts ?? []).length > 0;
  const frameOf = (chat: Conversation, { index }: Answer): CutFrame | 'refused' | undefined => {
    let key = chat.weights?.join() ?? '';
    for (const { role } of chat.messages) key += ` ${role}`;
    if (frames.has(key)) return frames.get(key);
    if (frames.size >= MOST_SHAPES) return undefined;
    const found = frameFor(chat, index, settings);
    // A token of the text and of an end that is context would be context.
    const isApart = (end: string): boolean => !hasContext || specialTexts.some(text => text !== '' && end.startsWith(text));
    const frame =
      !found || found === 'refused'
        ? found
        : isApart(found.end)
          ? cutFrame(found, bounds.cutsAtSpecials ? specialTexts : [], bounds.count)
          : undefined;
    frames.set(key, frame);
    return frame;
  };
  /** Undefined where the texts of a chat do not show it. */
  const provesByTexts = (chat: Conversation, answer: Answer | undefined): boolean | undefined => {
    if (answer === undefined) return false;
    const frame = chat.messages.length > MOST_TURNS ? undefined : frameOf(chat, answer);
    if (frame === 'refused') return false;
    if (!settings.completionOnly) return frame && trainsTwo(chat, frame, settings, bounds);
    if (hasContext && hasMarks(textOfContent(elementAt(chat.messages, answer.index).content))) return false;
    return frame && fitsFrame(chat, { ...answer, isWhole: answer.isWhole || hasContext }, frame, bounds);
  };
  return (chat, place) => {
    const isTexts = isPlain(chat);
    if (!isTexts) checkFields(chat, { renderer: settings.renderer, place });
    const answer = answerOf(chat, settings, bounds);
    if (answer === undefined) return false;
    let proven = isTexts ? provesByTexts(chat, answer) : undefined;
    // Some templates write no empty message, and a message of their own in its place.
    if (proven && beginsEmpty(chat)) proven = provesByTexts(withoutFirst(chat), answerOf(withoutFirst(chat), settings, bounds));
    return proven ?? (settings.completionOnly && !hasContext && fitsRendered(chat, answer, settings, bounds));
  };
}

/** Undefined where no answer is trained that surely has a token, with a turn in front of it. */
function answerOf(chat: Conversation, choice: TurnChoice, { hasToken }: TextBounds): Answer | undefined {
  const trained = trainedTurnsOf(chat, choice);
  const index = trained.find(turn => chat.messages[turn]?.role === 'assistant') ?? 0;
  const message = chat.messages[index];
  if (index === 0 || message === undefined || !hasToken(saidIn(message))) return undefined;
  const isAlone = trained.every(turn => chat.messages[turn]?.role === 'assistant');
  return { index, isWhole: message.tool_calls !== undefined || !isAlone };
}

/** A text that stands in the text of an answer. */
function saidIn({ content, tool_calls: calls }: ChatMessage): string {
  if (!Array.isArray(calls)) return textOfContent(content);
  const called = functionOf(calls[0]);
  return called !== null && typeof called === 'object' && 'name' in called ? String(called.name) : '';
}

/** Stretches of a text that templates look for: reasoning, and words that turn it on or off. */
const MARKS = /<\/?think|\/(?:no_)?think/;

/** Whether a text has such marks. */
export const hasMarks = (text: string): boolean => text.includes('think') && MARKS.test(text);

/** Whether a chat has nothing but texts by role. */
function isPlain({ messages, tools, documents, variables }: Conversation): boolean {
  if (tools !== undefined || documents !== undefined || variables !== undefined) return false;
  for (const message of messages) {
    if (typeof message.content !== 'string') return false;
    let fields = 0;
    for (const _ in message) fields++;
    // Its role is the other one.
    if (fields > 2) return false;
  }
  return true;
}

/** The frame of all chats with these roles and weights; 'refused' where the template takes none of them. */
function frameFor({ messages, weights }: Conversation, answer: number, settings: ProofSettings) {
  try {
    return findFrame({ turns: messages.length, answer }, texts =>
      chatPieces(
        { messages: messages.map(({ role }, i) => ({ role, content: texts[i] })), ...(weights && { weights }) },
        { ...settings, place: { file: '', line: 1 } },
      ),
    );
  } catch (error) {
    if (error instanceof DataError) return 'refused';
    throw error;
  }
}

/** Whether a chat of which every token is trained has two, however it is cut: a mark of the template, and a token of a text. */
const trainsTwo = ({ messages, weights }: Conversation, { tokens }: CutFrame, { maxLength }: ProofSettings, bounds: TextBounds): boolean =>
  tokens > 0 &&
  maxLength > 1 &&
  // Weights are refused there.
  (weights ?? []).every(weight => weight === undefined) &&
  messages.some(({ content }) => bounds.hasToken(textOfContent(content)));

/** Undefined where the template may take something off a text, and it matters. */
function fitsFrame({ messages }: Conversation, { index, isWhole }: Answer, frame: CutFrame, bounds: TextBounds): boolean | undefined {
  const texts: string[] = [];
  let bytes = frame.bytes;
  for (const { content } of messages) {
    if (texts.length === index) break;
    const text = textOfContent(content);
    bytes += Buffer.byteLength(text);
    texts.push(text);
  }
  if (texts.some(hasMarks)) return undefined;
  if (!texts.some(bounds.hasToken)) return false;
  const answerBytes = isWhole ? Buffer.byteLength(textOfContent(elementAt(messages, index).content)) + frame.endBytes : 0;
  const room = { tokens: frame.tokens, needed: isWhole ? bounds.most(answerBytes) : 1 };
  // A template that takes off space makes the text shorter.
  if (bounds.bytesLeaveRoom(bytes, room)) return true;
  return texts.every(text => text === text.trim()) ? bounds.leavesRoom(promptIn(frame, texts), room) : undefined;
}

function fitsRendered(chat: Conversation, answer: Answer, { renderer }: ProofSettings, bounds: TextBounds): boolean {
  const rendered = (count: number, addGenerationPrompt: boolean): RenderedChat | undefined => {
    try {
      return renderer.render({ ...chat, messages: chat.messages.slice(0, count) }, { addGenerationPrompt });
    } catch {
      // What the template refuses is reported where the chat is formatted.
      return undefined;
    }
  };
  const all = () => rendered(chat.messages.length, false);
  if (renderer.marksGeneration) return fitsMarked(chat, answer, all(), bounds);
  const prompt = rendered(answer.index, true)?.text;
  if (prompt === undefined || !bounds.hasToken(prompt)) return false;
  if (!answer.isWhole && bounds.bytesLeaveRoom(Buffer.byteLength(prompt), ONE)) return true;
  const whole = all()?.text;
  if (whole === undefined) return false;
  const continues = whole.startsWith(prompt);
  if (!answer.isWhole) return continues && bounds.leavesRoom(prompt, ONE);
  // A system message that the whole lacks stands in front of its last answer (`chatPieces`).
  return (continues || chat.messages[0]?.role !== 'system') && bounds.bytesLeaveRoom(Buffer.byteLength(whole), ONE);
}

/** Room for a token of an answer; where all of it is measured, for the token that a second text may have more than its bytes. */
const ONE: Room = { tokens: 0, needed: 1 };

/** As the marks of the template show it. */
function fitsMarked({ messages }: Conversation, { index, isWhole }: Answer, whole: RenderedChat | undefined, bounds: TextBounds): boolean {
  const [from, to] = whole?.generated.find(([from, to]) => to > from) ?? [0, 0];
  if (whole === undefined || !bounds.hasToken(whole.text.slice(from, to))) return false;
  const isFirst = messages.findIndex(({ role }) => role === 'assistant') === index;
  if (isWhole || !isFirst) return bounds.bytesLeaveRoom(Buffer.byteLength(whole.text), ONE);
  const prompt = whole.text.slice(0, from);
  return bounds.hasToken(prompt) && bounds.leavesRoom(prompt, ONE);
}
