/** Turns a chat into pieces of text with the model's own template. Only the turns of some roles are trained, usually the assistant's. */
import { elementAt } from '../../narrow.ts';
import { textOfContent } from '../../protocol/text/content-text.ts';
import { DataError } from '../data-error.ts';
import type { Conversation, Piece, RenderedChat, Target } from '../types.ts';
import { type ChatText, checkFields, checkTools, checkTurn, notesOf } from './check-chat.ts';
import { type ContextPart, contextParts } from './context-parts.ts';
import { render, type Span } from './render-chat.ts';
import { answerSpan, trailingSpace, turnSpan } from './turn-spans.ts';

/** Selects which turns of the trained roles are trained. */
export type TrainedTurns = 'all' | 'last';

/** The roles whose turns are trained, and which of these turns. */
export interface TurnChoice {
  readonly trainedTurns: TrainedTurns;
  /** The roles whose turns are trained; if left out, only the assistant. */
  readonly trainedRoles?: readonly string[] | undefined;
}

export interface ChatSettings extends ChatText, TurnChoice {
  /** The parts of a trained answer that stay context; if left out, none. */
  readonly contextParts?: readonly ContextPart[] | undefined;
}

export interface FormattedChat {
  readonly pieces: Piece[];
  /** Remarks that a report counts: fields that the template does not use, reasoning that it removes, roles without a turn. */
  readonly notes: readonly string[];
}

/**
 * Renders the chat and marks the text that the model has to write as trained. If the template marks this text with `{% generation %}`, its
 * marks apply. Otherwise each answer is trained from the end of the generation prompt to its end-of-turn token; text that the template
 * writes after that token (a line break) is context only. A trained turn of another role is its text with its end-of-turn marks.
 * @throws DataError if the template drops data, or an answer cannot be found in the text
 */
export function chatPieces(chat: Conversation, settings: ChatSettings): FormattedChat {
  checkFields(chat, settings);
  const whole = render(chat, chat.messages.length, false, settings);
  // An empty first message that is missing from the text counts as absent, even if the template would write it elsewhere.
  if (beginsEmpty(chat) && isTextOf(withoutFirst(chat), whole.text, settings)) return chatPieces(withoutFirst(chat), settings);
  checkTools(chat, whole.text, settings);
  checkTurns(chat, whole.text, settings);
  const turns = trainedTurnsOf(chat, settings);
  const marked = settings.renderer.marksGeneration;
  if (!marked && dropsSystem(chat, whole.text, settings)) return lastAnswerAsGenerated(chat, whole.text, turns, settings);
  const answers = turns.filter(index => isAnswer(chat, index));
  const spans = marked
    ? markedAnswers(chat, whole, answers, settings)
    : answers.map(index => answerSpan(chat, whole.text, index, settings));
  const kinds = kindsOf(chat, answers, { text: whole.text, spans }, settings);
  const targets = turns.flatMap(index => (isAnswer(chat, index) ? [] : inputTarget(chat, whole.text, index, settings)));
  const notes = [
    ...notesOf(chat, whole.text, settings),
    ...(endsDiffer(whole.text, spans) ? [ENDS_DIFFER] : []),
    ...rolesWithoutTurn(chat, settings).map(withoutRole),
  ];
  return { pieces: piecesOf(whole.text, spans, kinds, targets), notes };
}

/** A remark on a chat in which a trained role has no turn. */
export const withoutRole = (role: string): string => `have no turn of the role '${role}', which data.trained_roles trains`;

const rolesWithoutTurn = ({ messages }: Conversation, { trainedRoles = [] }: TurnChoice): string[] =>
  trainedRoles.filter(role => messages.every(message => message.role !== role));

const isAnswer = ({ messages }: Conversation, index: number): boolean => messages[index]?.role === ANSWERS;

/** The trained turn of another role; empty if the turn has no text. */
function inputTarget(chat: Conversation, whole: string, index: number, settings: ChatSettings): Target[] {
  const withEnd = !settings.contextParts?.includes('end_of_turn');
  const span = turnSpan(chat, whole, index, withEnd, settings);
  return span === undefined ? [] : [{ from: span[0], to: span[1], weight: chat.weights?.[index] ?? 1 }];
}

/**
 * True if the text lacks the system message: Mistral's template writes it into the last question, and only if nothing follows the question.
 */
const dropsSystem = (chat: Conversation, whole: string, settings: ChatSettings): boolean =>
  chat.messages[0]?.role === 'system' && dropsTurn(chat, 0, whole, settings);

/** True if a turn leaves no trace in the text of the chat. */
function dropsTurn(chat: Conversation, index: number, whole: string, settings: ChatSettings): boolean {
  const text = textOfContent(elementAt(chat.messages, index).content).trim();
  return text !== '' && !whole.includes(text) && isTextOf(without(chat, index), whole, settings);
}

export const withoutFirst = (chat: Conversation): Conversation => without(chat, 0);

const without = (chat: Conversation, index: number): Conversation => ({
  ...chat,
  messages: chat.messages.filter((_, i) => i !== index),
  ...(chat.weights && { weights: chat.weights.filter((_, i) => i !== index) }),
});

/** True if a chat begins with an empty system message. */
export const beginsEmpty = ({ messages: [first] }: Conversation): boolean =>
  first?.role === 'system' && textOfContent(first.content).trim() === '';

/** True if the template renders a chat as this text. */
function isTextOf(chat: Conversation, text: string, settings: ChatSettings): boolean {
  try {
    return render(chat, chat.messages.length, false, settings).text === text;
  } catch {
    return false;
  }
}

/** @throws DataError for a later turn that the template drops: gpt-oss's template reads a system message only in first place */
function checkTurns(chat: Conversation, whole: string, settings: ChatSettings): void {
  for (const [index, { role }] of chat.messages.entries()) {
    if (index === 0 || role === 'assistant' || !dropsTurn(chat, index, whole, settings)) continue;
    throw new DataError({
      ...settings.place,
      key: chat.keys?.[index],
      problem: `the model's chat template drops this turn of the role '${role}', so it would be lost`,
      advice: 'Write its text into the turn after it, or remove it',
    });
  }
}

/**
 * The last answer after the prompt for which the model generates it. This prompt has the system message that the text of the whole chat
 * lacks.
 * @throws DataError if other turns are trained, because each answer has a different prompt
 */
function lastAnswerAsGenerated(chat: Conversation, whole: string, turns: readonly number[], settings: ChatSettings): FormattedChat {
  const last = chat.messages.length - 1;
  const [index, ...others] = turns;
  const prompt = render(chat, last, true, settings).text;
  const bare = render(withoutFirst(chat), last - 1, true, settings).text;
  if (index !== last || others.length > 0 || !whole.startsWith(bare) || prompt === bare) {
    throw new DataError({
      ...settings.place,
      key: chat.keys?.[0],
      problem: "the model's chat template drops the system message of this chat",
      advice:
        'Write its text at the beginning of the first question, or set data.trained_turns: last where the template writes it into the last question',
    });
  }
  const text = prompt + whole.slice(bare.length);
  const message = elementAt(chat.messages, last);
  const span: Span = [prompt.length, text.length - trailingSpace(text, message)];
  checkTurn(text.slice(...span), chat, last, settings);
  const note = "have a system message that the model's chat template writes into the last question";
  return {
    pieces: piecesOf(text, [span], kindsOf(chat, turns, { text, spans: [span] }, settings)),
    notes: [...notesOf(chat, text, settings), note],
  };
}

const ENDS_DIFFER = "have earlier answers that the model's chat template ends with a different token from the last answer";

/** True if the answers end with special tokens such as `<|end|>` and `<|return|>`, and not all with the same one. */
function endsDiffer(text: string, spans: readonly Span[]): boolean {
  const ends = spans.map(([from, to]) => /<\|\w+\|>$/.exec(text.slice(from, to))?.[0]);
  return new Set(ends).size > 1;
}

/** The role whose turns the model writes. */
const ANSWERS = 'assistant';

/** The indices of the trained turns in the chat: turns of the trained roles, and other turns that have a weight. */
export function trainedTurnsOf({ messages, weights }: Conversation, { trainedTurns, trainedRoles = [ANSWERS] }: TurnChoice): number[] {
  const all: number[] = [];
  let index = 0;
  for (const { role } of messages) {
    if (trainedRoles.includes(role) || (weights?.[index] ?? 0) > 0) all.push(index);
    index++;
  }
  const chosen = trainedTurns === 'last' ? all.slice(-1) : all;
  return weights ? chosen.filter(index => weights[index] !== 0) : chosen;
}

/** The indices of the trained answers in the chat. */
export const answersOf = (chat: Conversation, choice: TurnChoice): number[] =>
  trainedTurnsOf(chat, choice).filter(index => isAnswer(chat, index));

type Kind = Pick<Piece, 'isCall' | 'weight'>;

interface Stretches {
  readonly text: string;
  readonly spans: readonly Span[];
}

/**
 * Determines for each trained stretch whether it holds a call, its weight and its context.
 * @throws DataError as {@link callsAndWeights} and {@link contextParts}
 */
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
    const answer = { text: text.slice(from, to), before: text.slice(0, from), messages, key: chat.keys?.[own[0] ?? 0] };
    const context = contextParts(answer, parts, settings);
    return { ...kinds[i], ...(context.length > 0 && { context }) };
  });
}

/**
 * Determines for each stretch whether it holds a call, and its weight. If stretches do not correspond to answers one to one, any of them
 * may hold a call, and all have one weight.
 * @throws DataError in that case for answers with different weights
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

/** Splits the text into trained and context pieces. @param targets trained stretches outside of the answers */
function piecesOf(text: string, spans: readonly Span[], kinds: ReadonlyArray<Partial<Piece>>, targets: readonly Target[] = []): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  const pushContext = (end: number): void => {
    const begin = done;
    const own = targets.filter(({ from, to }) => from >= begin && to <= end);
    const moved = own.map(({ from, to, weight }) => ({ from: from - begin, to: to - begin, weight }));
    pieces.push({ text: text.slice(begin, end), train: false, ...(moved.length > 0 && { targets: moved }) });
  };
  for (const [i, [from, to]] of spans.entries()) {
    pushContext(from);
    pieces.push({ text: text.slice(from, to), train: true, ...kinds[i] });
    done = to;
  }
  pushContext(text.length);
  return pieces.filter(piece => piece.text !== '');
}

/** The stretches that the template marks. To choose among them, each answer must have exactly one. */
function markedAnswers(
  { messages }: Conversation,
  { generated }: RenderedChat,
  answers: readonly number[],
  { place }: ChatSettings,
): Span[] {
  const all = messages.flatMap(({ role }, index) => (role === ANSWERS ? [index] : []));
  const spans = generated.filter(([from, to]) => to > from);
  if (answers.length === 0) return [];
  if (answers.length === all.length) return spans;
  if (spans.length === all.length) return spans.filter((_, i) => answers.includes(all[i] as number));
  throw new DataError({
    ...place,
    problem: `the model's chat template marks ${spans.length} stretches of ${all.length} answers, so single answers cannot be chosen`,
    advice: 'Train all answers of the chat, or keep only its last one',
  });
}
