/**
 * Proves that a chat keeps a token of its first trained answer. The text before that answer is never longer than the prompt for which the
 * model would write it (`turn-spans.ts`). Chats of plain texts are measured with the text that the template writes around the texts of
 * every chat with the same roles; other chats by rendering the template up to the answer.
 */

import { elementAt } from '../../../narrow.ts';
import { textOfContent } from '../../../protocol/text/content-text.ts';
import { checkFields } from '../../chat/check-chat.ts';
import type { ContextPart } from '../../chat/context-parts.ts';
import { beginsEmpty, chatPieces, type TurnChoice, trainedTurnsOf, withoutFirst } from '../../chat/format-chat.ts';
import type { DataPlace } from '../../data-error.ts';
import { DataError } from '../../data-error.ts';
import { functionOf } from '../../tool-calls/function-of.ts';
import type { ChatMessage, ChatRenderer, Conversation, RenderedChat } from '../../types.ts';
import { type MeasuredText, WholeText } from '../plain/measured-text.ts';
import { type CutFrame, cutFrame, findFrame, promptIn } from './prompt-frame.ts';
import type { Room, TextBounds } from './text-bounds.ts';

export interface ProofSettings extends TurnChoice {
  readonly renderer: ChatRenderer;
  /** The parts of answers that stay context; if left out, none. */
  readonly contextParts?: readonly ContextPart[] | undefined;
  /** If false, every token is trained. */
  readonly completionOnly: boolean;
  /** Maximum length in tokens. */
  readonly maxLength: number;
}

/** Maximum number of turns of a chat that is measured by its shape: longer chats have too many shapes. */
export const MAX_TURNS = 32;
const MAX_SHAPES = 1000;

/** The first trained answer of a chat. */
interface Answer {
  readonly index: number;
  /** Whether the whole answer must fit: a call is never cut, and a chat may end after a trained turn of another role before the answer. */
  readonly isWhole: boolean;
}

/** A chat of plain texts. */
export interface PlainTurns {
  /** The role of each turn as the data names it, separated by spaces. */
  readonly roles: string;
  readonly texts: readonly MeasuredText[];
  /** Left out if no turn has a weight. */
  readonly weights?: Conversation['weights'];
}

export interface ChatProof {
  /**
   * True if a chat is certain to keep a target. If false, only tokenizing the chat shows whether it does, or what is wrong with it.
   * @throws DataError for a field that the template does not use
   */
  readonly proves: (chat: Conversation, place: DataPlace) => boolean;
  /** True if the texts of a chat prove that it keeps a target. */
  readonly provesTurns: (turns: PlainTurns) => boolean;
}

/** The properties that all chats with the same roles and weights share. */
interface Shape {
  /** Undefined if no trained answer has a turn before it. */
  readonly answer: Answer | undefined;
  /** Undefined if the template does more than write the texts between fixed text. */
  readonly frame: CutFrame | 'refused' | undefined;
}

const NO_SHAPE: Shape = { answer: undefined, frame: undefined };

export function chatProof(settings: ProofSettings, bounds: TextBounds, specialTexts: readonly string[]): ChatProof {
  const shapes = new Map<string, Shape>();
  const hasContext = (settings.contextParts ?? []).length > 0;
  // Otherwise a token could span the text and its end, which is context, and would then be context too.
  const isApart = (end: string): boolean => !hasContext || specialTexts.some(text => text !== '' && end.startsWith(text));
  const frameOf = (chat: Conversation, index: number): Shape['frame'] => {
    const found = frameFor(chat, index, settings);
    if (!found || found === 'refused') return found;
    return isApart(found.end) ? cutFrame(found, bounds.cutsAtSpecials ? specialTexts : [], bounds.count) : undefined;
  };
  const shapeOf = ({ roles, weights }: PlainTurns): Shape => {
    const key = weights === undefined ? roles : `${roles} ${weights.join()}`;
    const known = shapes.get(key);
    if (known || shapes.size >= MAX_SHAPES) return known ?? NO_SHAPE;
    const chat = { messages: roles.split(' ').map(role => ({ role, content: PLACEHOLDER })), weights };
    const answer = trainedAnswer(chat, settings);
    const shape = { answer, frame: answer && frameOf(chat, answer.index) };
    shapes.set(key, shape);
    return shape;
  };
  /** True or false if the texts of a chat prove it; otherwise undefined. */
  const provesByTexts = (turns: PlainTurns): boolean | undefined => {
    const { texts } = turns;
    const { answer, frame } = texts.length > MAX_TURNS ? NO_SHAPE : shapeOf(turns);
    if (answer === undefined || frame === undefined) return undefined;
    const said = elementAt(texts, answer.index);
    if (frame === 'refused' || !said.hasToken) return false;
    if (!settings.completionOnly) return trainsTwo(turns, frame, settings);
    if (hasContext && said.hasMarks) return false;
    return fitsFrame(texts, { ...answer, isWhole: answer.isWhole || hasContext }, frame, bounds);
  };
  return {
    provesTurns: turns => provesByTexts(turns) === true,
    proves: (chat, place) => {
      const isTexts = isPlain(chat);
      if (!isTexts) checkFields(chat, { renderer: settings.renderer, place });
      const answer = trainedAnswer(chat, settings);
      if (answer === undefined || !bounds.hasToken(saidIn(elementAt(chat.messages, answer.index)))) return false;
      let proven = isTexts ? provesByTexts(turnsOf(chat, bounds)) : undefined;
      // Some templates write no empty message, and a message of their own in its place.
      if (proven && beginsEmpty(chat)) proven = provesByTexts(turnsOf(withoutFirst(chat), bounds)) ?? false;
      return proven ?? (settings.completionOnly && !hasContext && fitsRendered(chat, answer, settings, bounds));
    },
  };
}

const turnsOf = ({ messages, weights }: Conversation, bounds: TextBounds): PlainTurns => ({
  roles: messages.map(({ role }) => role).join(' '),
  texts: messages.map(({ content }) => new WholeText(textOfContent(content), bounds)),
  ...(weights?.some(weight => weight !== undefined) && { weights }),
});

/** Stands for any text. */
const PLACEHOLDER = 'text';

/** The first trained answer, or undefined if it is missing or has no turn before it. */
function trainedAnswer(chat: Conversation, choice: TurnChoice): Answer | undefined {
  const trained = trainedTurnsOf(chat, choice);
  const index = trained.find(turn => chat.messages[turn]?.role === 'assistant') ?? 0;
  const message = chat.messages[index];
  if (index === 0 || message === undefined) return undefined;
  const isAlone = trained.every(turn => chat.messages[turn]?.role === 'assistant');
  return { index, isWhole: message.tool_calls !== undefined || !isAlone };
}

/** A text that occurs in the rendered answer. */
function saidIn({ content, tool_calls: calls }: ChatMessage): string {
  if (!Array.isArray(calls)) return textOfContent(content);
  const called = functionOf(calls[0]);
  return called !== null && typeof called === 'object' && 'name' in called ? String(called.name) : '';
}

/** True if a chat consists only of texts by role. */
function isPlain({ messages, tools, documents, variables }: Conversation): boolean {
  if (tools !== undefined || documents !== undefined || variables !== undefined) return false;
  for (const message of messages) {
    if (typeof message.content !== 'string') return false;
    let fields = 0;
    for (const _ in message) fields++;
    // The second field is the role.
    if (fields > 2) return false;
  }
  return true;
}

/** The frame of all chats with these roles and weights; 'refused' if the template refuses them. */
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

/** True if a chat whose tokens are all trained keeps two tokens however it is cut: a mark of the template and a token of a text. */
const trainsTwo = ({ texts, weights = [] }: PlainTurns, { tokens }: CutFrame, { maxLength }: ProofSettings): boolean =>
  tokens > 0 &&
  maxLength > 1 &&
  // Such a chat must not have weights.
  weights.every(weight => weight === undefined) &&
  texts.some(({ hasToken }) => hasToken);

/** True if the prompt leaves room for the answer; undefined if the template may trim a text and this matters. */
function fitsFrame(all: readonly MeasuredText[], { index, isWhole }: Answer, frame: CutFrame, bounds: TextBounds): boolean | undefined {
  let bytes = frame.bytes;
  let hasToken = false;
  for (let i = 0; i < index; i++) {
    const text = elementAt(all, i);
    if (text.hasMarks) return undefined;
    bytes += text.bytes;
    hasToken ||= text.hasToken;
  }
  if (!hasToken) return false;
  const room = { tokens: frame.tokens, needed: isWhole ? bounds.most(elementAt(all, index).bytes + frame.endBytes) : 1 };
  // A template that trims white space makes the text shorter, but leaves its words.
  const excess = bounds.excess(bytes, room);
  let saved = 0;
  for (let i = 0; i < index && saved < excess; i++) saved += elementAt(all, i).saved(excess - saved);
  if (saved >= excess) return true;
  const texts = all.slice(0, index).map(text => text.text());
  return texts.every(text => text === text.trim()) ? bounds.leavesRoom(promptIn(frame, texts), room) : undefined;
}

function fitsRendered(chat: Conversation, answer: Answer, { renderer }: ProofSettings, bounds: TextBounds): boolean {
  const rendered = (count: number, addGenerationPrompt: boolean): RenderedChat | undefined => {
    try {
      return renderer.render({ ...chat, messages: chat.messages.slice(0, count) }, { addGenerationPrompt });
    } catch {
      // A refusal of the template is reported when the chat is formatted.
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
  // If the whole text lacks the system message, it is before the last answer (`chatPieces`).
  return (continues || chat.messages[0]?.role !== 'system') && bounds.bytesLeaveRoom(Buffer.byteLength(whole), ONE);
}

/** Room for one token of an answer; if the whole answer is measured, for the token by which a second text may exceed its bytes. */
const ONE: Room = { tokens: 0, needed: 1 };

/** True if the answer fits, measured with the template's own generation marks. */
function fitsMarked({ messages }: Conversation, { index, isWhole }: Answer, whole: RenderedChat | undefined, bounds: TextBounds): boolean {
  const [from, to] = whole?.generated.find(([from, to]) => to > from) ?? [0, 0];
  if (whole === undefined || !bounds.hasToken(whole.text.slice(from, to))) return false;
  const isFirst = messages.findIndex(({ role }) => role === 'assistant') === index;
  if (isWhole || !isFirst) return bounds.bytesLeaveRoom(Buffer.byteLength(whole.text), ONE);
  const prompt = whole.text.slice(0, from);
  return bounds.hasToken(prompt) && bounds.leavesRoom(prompt, ONE);
}
