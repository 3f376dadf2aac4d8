/** A chat as pieces of text: the model's own template, of which only the assistant's turns are trained. */
import { elementAt, isRecord } from '../narrow.ts';
import { textOfContent } from './chat-renderer.ts';
import { type ChatText, checkAnswer, checkFields, checkTools, notesOf } from './check-chat.ts';
import { type ContextPart, contextParts } from './context-parts.ts';
import type { DataPlace } from './data-error.ts';
import { DataError } from './data-error.ts';
import { MARK, render, type Span } from './render-chat.ts';
import { commonEnd, commonStart } from './tool-calls/marks.ts';
import type { ChatMessage, Conversation, Piece, RenderedChat } from './types.ts';

/** Which of a chat's answers are trained. */
export type TrainedTurns = 'all' | 'last';

export interface ChatSettings extends ChatText {
  readonly trainedTurns: TrainedTurns;
  /** The parts of a trained answer that stay context; left out, none. */
  readonly contextParts?: readonly ContextPart[] | undefined;
}

export interface FormattedChat {
  readonly pieces: Piece[];
  /** Remarks that a report counts: fields that the template does not use, reasoning that it removes. */
  readonly notes: readonly string[];
}

/**
 * Renders the chat and marks as trained what the model itself has to write. Where the template marks that with
 * `{% generation %}`, its marks count. Otherwise each answer is trained from the end of the generation prompt to its
 * end-of-turn token; what the template puts after that token (a line break) is context only.
 * Throws DataError where the template drops what the data has, or where an answer cannot be found in the text.
 */
export function chatPieces(chat: Conversation, settings: ChatSettings): FormattedChat {
  checkFields(chat, settings);
  const whole = render(chat, chat.messages.length, false, settings);
  // An empty message that the text does not have is none, wherever else the template would write it.
  if (beginsEmpty(chat) && isTextOf(withoutFirst(chat), whole.text, settings)) return chatPieces(withoutFirst(chat), settings);
  checkTools(chat, whole.text, settings);
  checkTurns(chat, whole.text, settings);
  const answers = answersOf(chat, settings.trainedTurns);
  const marked = settings.renderer.marksGeneration;
  if (!marked && dropsSystem(chat, whole.text, settings)) return lastAnswerAsGenerated(chat, whole.text, answers, settings);
  const spans = marked
    ? markedAnswers(chat, whole, answers, settings)
    : answers.map(index => answerSpan(chat, whole.text, index, settings));
  const kinds = kindsOf(chat, answers, { text: whole.text, spans }, settings);
  const notes = notesOf(chat, whole.text, settings);
  return { pieces: piecesOf(whole.text, spans, kinds), notes: endsDiffer(whole.text, spans) ? [...notes, ENDS_DIFFER] : notes };
}

/** Whether the text lacks the system message: Mistral's template writes it into the last question, and only while nothing follows that. */
const dropsSystem = (chat: Conversation, whole: string, settings: ChatSettings): boolean =>
  chat.messages[0]?.role === 'system' && dropsTurn(chat, 0, whole, settings);

/** Whether a turn leaves no trace in the text of the chat. */
function dropsTurn(chat: Conversation, index: number, whole: string, settings: ChatSettings): boolean {
  const text = textOfContent(elementAt(chat.messages, index).content).trim();
  return text !== '' && !whole.includes(text) && isTextOf(without(chat, index), whole, settings);
}

const withoutFirst = (chat: Conversation): Conversation => without(chat, 0);

const without = (chat: Conversation, index: number): Conversation => ({
  ...chat,
  messages: chat.messages.filter((_, i) => i !== index),
  ...(chat.weights && { weights: chat.weights.filter((_, i) => i !== index) }),
});

const beginsEmpty = ({ messages: [first] }: Conversation): boolean =>
  first?.role === 'system' && textOfContent(first.content).trim() === '';

/** Whether the template makes this text of a chat. */
function isTextOf(chat: Conversation, text: string, settings: ChatSettings): boolean {
  try {
    return render(chat, chat.messages.length, false, settings).text === text;
  } catch {
    return false;
  }
}

/** Throws DataError for a later turn that the template drops: gpt-oss's template reads a system message in the first place only. */
function checkTurns(chat: Conversation, whole: string, settings: ChatSettings): void {
  for (const [index, { role }] of chat.messages.entries()) {
    if (index === 0 || role === 'assistant' || !dropsTurn(chat, index, whole, settings)) continue;
    throw new DataError({
      ...settings.place,
      key: `messages[${index}]`,
      problem: `the model's chat template drops this turn of the role '${role}', so it would be lost`,
      advice: 'Write its text into the turn after it, or remove it',
    });
  }
}

/**
 * The last answer behind the prompt for which the model generates it, which has the system message that the text of the whole chat lacks.
 * Throws DataError where other answers are trained: each has another prompt.
 */
function lastAnswerAsGenerated(chat: Conversation, whole: string, answers: readonly number[], settings: ChatSettings): FormattedChat {
  const last = chat.messages.length - 1;
  const [index, ...others] = answers;
  const prompt = render(chat, last, true, settings).text;
  const bare = render(withoutFirst(chat), last - 1, true, settings).text;
  if (index !== last || others.length > 0 || !whole.startsWith(bare) || prompt === bare) {
    throw new DataError({
      ...settings.place,
      key: 'messages[0]',
      problem: "the model's chat template drops the system message of this chat",
      advice:
        'Write its text at the beginning of the first question, or set data.trained_turns: last where the template writes it into the last question',
    });
  }
  const text = prompt + whole.slice(bare.length);
  const message = elementAt(chat.messages, last);
  const span: Span = [prompt.length, text.length - trailingSpace(text, message)];
  checkAnswer(text.slice(...span), message, last, settings);
  const note = "have a system message that the model's chat template writes into the last question";
  return {
    pieces: piecesOf(text, [span], kindsOf(chat, answers, { text, spans: [span] }, settings)),
    notes: [...notesOf(chat, text, settings), note],
  };
}

const ENDS_DIFFER = "have earlier answers that the model's chat template ends with another token than the last one";

/** Whether special tokens like `<|end|>` and `<|return|>` end the answers, and not the same one. */
function endsDiffer(text: string, spans: readonly Span[]): boolean {
  const ends = spans.map(([from, to]) => /<\|\w+\|>$/.exec(text.slice(from, to))?.[0]);
  return new Set(ends).size > 1;
}

/** The answers that are trained, by their place in the chat. */
export function answersOf({ messages, weights }: Conversation, trainedTurns: TrainedTurns): number[] {
  const all = messages.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
  return (trainedTurns === 'last' ? all.slice(-1) : all).filter(index => weights?.[index] !== 0);
}

type Kind = Pick<Piece, 'isCall' | 'weight'>;

interface Stretches {
  readonly text: string;
  readonly spans: readonly Span[];
}

/** Whether each stretch that is trained holds a call, its weight and its context. @throws DataError as {@link callsAndWeights} and {@link contextParts} */
function kindsOf(
  chat: Conversation,
  answers: readonly number[],
  { text, spans }: Stretches,
  settings: ChatSettings,
): ReadonlyArray<Kind & Pick<Piece, 'context'>> {
  const kinds = callsAndWeights(chat, answers, spans.length, settings);
  const { contextParts: parts = [] } = settings;
  if (parts.length === 0) return kinds;
  const isOneByOne = answers.length === spans.length;
  return spans.map(([from, to], i) => {
    const own = isOneByOne ? answers.slice(i, i + 1) : answers;
    const messages = own.map(index => elementAt(chat.messages, index));
    const answer = { text: text.slice(from, to), before: text.slice(0, from), messages, index: own[0] ?? 0 };
    const context = contextParts(answer, parts, settings);
    return { ...kinds[i], ...(context.length > 0 && { context }) };
  });
}

/**
 * Whether each stretch holds a call, and its weight. Where stretches are not answers, one by one, each may hold one, and all have one weight.
 * Throws DataError for answers with several weights then.
 */
function callsAndWeights(
  { messages, weights }: Conversation,
  answers: readonly number[],
  stretches: number,
  { place }: ChatSettings,
): readonly Kind[] {
  const kinds = answers.map(
    (index): Required<Kind> => ({ isCall: messages[index]?.tool_calls !== undefined, weight: weights?.[index] ?? 1 }),
  );
  const shown = ({ isCall, weight }: Required<Kind>): Kind => ({ ...(isCall && { isCall }), ...(weight !== 1 && { weight }) });
  if (answers.length === stretches) return kinds.map(shown);
  const [{ weight } = { weight: 1 }] = kinds;
  if (kinds.some(kind => kind.weight !== weight))
    throw new DataError({
      ...place,
      problem: `the model's chat template marks ${stretches} stretches of ${answers.length} answers, so single answers cannot be weighed`,
      advice: 'Give all answers of the chat one weight, or keep only its last one',
    });
  return Array.from({ length: stretches }, () => shown({ isCall: kinds.some(({ isCall }) => isCall), weight }));
}

function piecesOf(text: string, spans: readonly Span[], kinds: ReadonlyArray<Partial<Piece>>): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const [i, [from, to]] of spans.entries()) {
    pieces.push({ text: text.slice(done, from), train: false }, { text: text.slice(from, to), train: true, ...kinds[i] });
    done = to;
  }
  pieces.push({ text: text.slice(done), train: false });
  return pieces.filter(piece => piece.text !== '');
}

/** The stretches that the template marks. To choose among them, each answer must have one. */
function markedAnswers(
  { messages }: Conversation,
  { generated }: RenderedChat,
  answers: readonly number[],
  { place }: ChatSettings,
): Span[] {
  const all = messages.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
  const spans = generated.filter(([from, to]) => to > from);
  if (answers.length === all.length) return spans;
  if (spans.length === all.length) return spans.filter((_, i) => answers.includes(all[i] as number));
  throw new DataError({
    ...place,
    problem: `the model's chat template marks ${spans.length} stretches of ${all.length} answers, so single answers cannot be chosen`,
    advice: 'Train all answers of the chat, or keep only its last one',
  });
}

/** The place of an answer in the whole text: from the end of the generation prompt to its end-of-turn token. */
function answerSpan(chat: Conversation, whole: string, index: number, settings: ChatSettings): Span {
  const message = elementAt(chat.messages, index);
  const from = startOf(chat, whole, index, settings);
  const to = from === undefined ? undefined : endOf(chat, whole, index, settings);
  if (from === undefined || to === undefined || to <= from) throw notFound(settings.place, index);
  checkAnswer(whole.slice(from, to), message, index, settings);
  return [from, to];
}

/** The end of the generation prompt, or of as much of it as the template writes before an answer. */
function startOf(chat: Conversation, whole: string, index: number, settings: ChatSettings): number | undefined {
  const prompt = index === 0 ? openingPrompt(chat, settings) : render(chat, index, true, settings).text;
  if (whole.startsWith(prompt)) return prompt.length;
  // Some templates open the reasoning in the generation prompt, and write an answer without it. Both may begin with the same characters.
  const shared = Math.min(commonStart(prompt, whole), startOfText(chat, whole, index, settings));
  return index > 0 && shared > render(chat, index, false, settings).text.length ? shared : undefined;
}

/** The place in the whole text where the text of an answer begins; its end if the answer has none, or the template removes its beginning. */
function startOfText(chat: Conversation, whole: string, index: number, settings: ChatSettings): number {
  const text = textOfContent(elementAt(chat.messages, index).content);
  if (text.trim() === '') return whole.length;
  const messages = chat.messages.map((each, i) => (i === index ? { ...each, content: MARK + text } : each));
  return commonStart(whole, render({ ...chat, messages }, messages.length, false, settings).text);
}

/** The generation prompt of a chat without any turn. Throws DataError where the template writes none. */
function openingPrompt(chat: Conversation, settings: ChatSettings): string {
  try {
    return render(chat, 0, true, settings).text;
  } catch {
    throw new DataError({
      ...settings.place,
      key: 'messages[0]',
      problem: "the chat begins with an answer, and the model's chat template needs a turn before it",
      advice: 'Put the turn that it answers before it, or set data.trained_turns: last',
    });
  }
}

/**
 * The end of an answer in the whole text. Where the text up to the answer is a beginning of the whole, that is its end
 * without the white space after the end-of-turn token. Otherwise the template writes an earlier answer in another way than
 * a last one, and the end is found by comparing the text with that of the same chat with one character added to the answer.
 */
function endOf(chat: Conversation, whole: string, index: number, settings: ChatSettings): number | undefined {
  const message = elementAt(chat.messages, index);
  const isLast = index === chat.messages.length - 1;
  const upTo = isLast ? whole : render(chat, index + 1, false, settings).text;
  if (whole.startsWith(upTo)) return upTo.length - trailingSpace(upTo, message);
  const longer = { ...chat, messages: chat.messages.map((each, i) => (i === index ? withMark(each) : each)) };
  const ending = upTo.slice(upTo.length - commonEnd(upTo, render(longer, index + 1, false, settings).text));
  const at = whole.length - commonEnd(whole, render(longer, chat.messages.length, false, settings).text);
  if (whole.startsWith(ending, at)) return at + ending.trimEnd().length;
  const followed = textBeforeTurn(chat, index + 1, settings);
  return followed !== undefined && whole.startsWith(followed) ? followed.length - trailingSpace(followed, message) : undefined;
}

/** The first `count` turns as the template writes them in front of another: gpt-oss ends an answer with another token there. */
function textBeforeTurn(chat: Conversation, count: number, settings: ChatSettings): string | undefined {
  const before = render(chat, count - 1, false, settings).text;
  const asked = render(chat, count - 1, true, settings).text;
  const opening = asked.startsWith(before) ? asked.slice(before.length) : '';
  const text = render(chat, count, true, settings).text;
  return opening !== '' && text.endsWith(opening) ? text.slice(0, -opening.length) : undefined;
}

/** The message with a mark at the end of what it says: in its last call, or in its text. */
function withMark(message: ChatMessage): ChatMessage {
  const { content, tool_calls: calls } = message;
  if (!Array.isArray(calls)) return { ...message, content: textOfContent(content).trimEnd() + MARK };
  return { ...message, tool_calls: calls.map((call, i) => (i === calls.length - 1 ? withMarkedArguments(call) : call)) };
}

function withMarkedArguments(call: unknown): unknown {
  const { function: inner, arguments: given, ...others } = isRecord(call) ? call : {};
  if (inner !== undefined) return { ...others, function: withMarkedArguments(inner) };
  const parsed: unknown = typeof given === 'string' ? JSON.parse(given) : given;
  return { ...others, arguments: { ...(isRecord(parsed) && parsed), mark: MARK } };
}

/** How many characters of white space follow the end-of-turn token; 0 where the turn ends with its own text. */
function trailingSpace(turn: string, { content, tool_calls: calls }: ChatMessage): number {
  const trimmed = turn.trimEnd();
  const text = textOfContent(content).trimEnd();
  return text !== '' && calls === undefined && trimmed.endsWith(text) ? 0 : turn.length - trimmed.length;
}

function notFound(place: DataPlace, index: number): DataError {
  return new DataError({
    ...place,
    problem: `the answer of turn ${index + 1} cannot be found in the text that the model's chat template makes of the chat, so it cannot be marked`,
    advice: 'Set data.trained_turns: last to train only the last answer of each chat, or use prompt and completion',
  });
}
