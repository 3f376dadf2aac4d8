/**
 * Turns a record with a better and a worse answer into two samples. Supports the layouts of TRL (`prompt`, `chosen`, `rejected` as texts or
 * lists of messages; without `prompt`, it is the common beginning of both sides), LLaMA-Factory (`conversations` or `instruction` with two
 * answers) and Axolotl (`messages`, or `system` and `question`).
 */
import { isRecord } from '../../narrow.ts';
import { type DataError, describeValue } from '../data-error.ts';
import { commonTurns, sameTurn, turnNames } from '../read/common-turns.ts';
import { readConversation, refuseTools, toolsOf, trainFieldOf } from '../read/read-conversation.ts';
import { fieldError, optionalText, requiredText } from '../read/record-fields.ts';
import type { ChatMessage, Conversation, DataRecord, FormattedExample, PromptFormat, Question } from '../types.ts';
import {
  alpacaPrompt,
  alpacaTurns,
  conversation,
  type FormatSettings,
  hasImages,
  usesChat,
  withImagesOf,
  withSystem,
} from './format-example.ts';

export const SIDES = ['chosen', 'rejected'] as const;
export type Side = (typeof SIDES)[number];

export type FormattedPair = Readonly<Record<Side, FormattedExample>>;

/**
 * Both answers after their prompt. A sample that is too long loses the end of its answer, so that both sides keep the same prompt.
 * @throws DataError (file, line, key) for a missing side, a list without an answer, or identical sides
 */
export function formatPair(record: DataRecord, settings: FormatSettings): FormattedPair {
  const pair = isChat(record, ...SIDES) ? chatPair(record, settings) : textPair(record, settings);
  if (textOf(pair.chosen) === textOf(pair.rejected))
    throw fieldError(record, 'rejected', 'the same answer as the chosen one', 'Remove the sample, or fix one of its sides');
  return { chosen: withoutShrinking(pair.chosen), rejected: withoutShrinking(pair.rejected) };
}

/** The margin by which the better answer is better; undefined if the record has none. @throws DataError if it is not a number */
export function pairMargin(record: DataRecord): number | undefined {
  const { margin } = record.value;
  if (margin === undefined || margin === null || margin === '') return undefined;
  // Values in CSV files are strings.
  const value = typeof margin === 'string' ? Number(margin) : margin;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw fieldError(record, 'margin', describeValue(margin), 'Give the margin as a number, or leave it out');
}

/** True if a prompt or an answer is a list of messages, or a message. */
export const isChat = ({ value }: DataRecord, ...answers: readonly string[]): boolean =>
  ['prompt', 'conversations', 'messages', ...answers].some(key => Array.isArray(value[key])) || answers.some(key => isRecord(value[key]));

/** The format that has the same kind of prompt as this pair. */
export const promptFormatOf = (record: DataRecord): PromptFormat =>
  isChat(record, ...SIDES) ? 'messages' : askedMessages(record) ? 'alpaca' : 'prompt_completion';

const textOf = ({ pieces }: FormattedExample): string => pieces.map(({ text }) => text).join('');

/** The sample with a prompt that is never shortened. */
export const withoutShrinking = (example: FormattedExample): FormattedExample => ({
  ...example,
  pieces: example.pieces.map(({ shrink: _, ...piece }) => piece),
});

/** The prompt of a record whose two answers are texts. @throws DataError as {@link formatPair} */
export function pairQuestion(record: DataRecord): Question {
  const asked = askedMessages(record);
  return { ...(asked && { chat: { ...toolsOf(record), messages: asked } }), text: textBefore(record, asked, textAnswers(record)) };
}

type TextAnswers = Readonly<Record<Side, string>>;

const textAnswers = (record: DataRecord): TextAnswers => ({
  chosen: requiredText(record, 'chosen'),
  rejected: requiredText(record, 'rejected'),
});

/** The text before the answers. @param asked see {@link askedMessages} */
function textBefore(record: DataRecord, asked: readonly ChatMessage[] | undefined, answers: TextAnswers): string {
  if (asked) return plainPrompt(record);
  return isImplicit(record) ? commonText(answers) : requiredText(record, promptKey(record));
}

/** True if the record has no prompt, so that the prompt is the common beginning of both texts. */
const isImplicit = ({ value }: DataRecord): boolean => (value.prompt ?? value.question ?? undefined) === undefined;

function textPair(record: DataRecord, settings: FormatSettings): FormattedPair {
  const answers = textAnswers(record);
  const asked = askedMessages(record);
  if (asked) {
    const side = (name: Side): FormattedExample => conversation(record, settings, chatOf(asked, [answer(answers[name])], toolsOf(record)));
    if (usesChat(record, settings, true)) return { chosen: side('chosen'), rejected: side('rejected') };
  }
  // With `chat: false`, the template is not known yet.
  if (asked === undefined || settings.chat !== false) refuseTools(record);
  const isCommon = asked === undefined && isImplicit(record);
  const prompt = textBefore(record, asked, answers);
  const side = (name: Side): FormattedExample => {
    const repeats = !isCommon && answers[name].startsWith(prompt);
    return {
      pieces: [
        { text: prompt, train: false },
        { text: isCommon ? answers[name].slice(prompt.length) : answers[name], train: true },
      ].filter(({ text }) => text !== ''),
      chat: false,
      ...(repeats && { repeatsPrompt: true, notes: [`have a ${name} answer that begins with its prompt`] }),
    };
  };
  return { chosen: side('chosen'), rejected: side('rejected') };
}

const promptKey = ({ value }: DataRecord): 'prompt' | 'question' => (Object.hasOwn(value, 'prompt') ? 'prompt' : 'question');

/** The turns of a record with an instruction, or with a question and a system message or images; undefined for a record with a prompt. */
function askedMessages(record: DataRecord): ChatMessage[] | undefined {
  const system = optionalText(record, 'system');
  if (Object.hasOwn(record.value, 'instruction')) {
    const input = optionalText(record, 'input');
    const instruction = requiredText(record, 'instruction');
    return withImagesOf(record, alpacaTurns({ instruction, input, system }));
  }
  const isAsked = Object.hasOwn(record.value, 'question') || system !== '' || hasImages(record);
  return isAsked ? askedTurns(record, system, requiredText(record, promptKey(record))) : undefined;
}

const askedTurns = (record: DataRecord, system: string, content: string): ChatMessage[] =>
  withImagesOf(record, withSystem(system, [{ role: 'user', content }]));

const plainPrompt = (record: DataRecord): string =>
  Object.hasOwn(record.value, 'instruction')
    ? alpacaPrompt(requiredText(record, 'instruction'), optionalText(record, 'input'))
    : `${[optionalText(record, 'system'), requiredText(record, promptKey(record))].filter(text => text !== '').join('\n\n')}\n`;

/** The common beginning of both texts, up to the last whole word; a space at its end goes to the answers. */
function commonText({ chosen, rejected }: Readonly<Record<Side, string>>): string {
  let end = 0;
  while (end < chosen.length && end < rejected.length && chosen[end] === rejected[end]) end++;
  while (end > 0 && /\S/.test(chosen.charAt(end - 1))) end--;
  return chosen.slice(0, end > 0 && chosen[end - 1] === ' ' ? end - 1 : end);
}

function chatPair(record: DataRecord, settings: FormatSettings): FormattedPair {
  const sides = { chosen: messagesOf(record, 'chosen'), rejected: messagesOf(record, 'rejected') };
  const prompt = turnsBefore(record, sides.chosen, sides.rejected);
  const side = (name: Side): FormattedExample => conversation(record, settings, answerAfter(record, { prompt, name, given: sides[name] }));
  return { chosen: side('chosen'), rejected: side('rejected') };
}

/** The turns before both answers: the turns of the prompt, or the common beginning of both lists. */
function turnsBefore(record: DataRecord, chosen: Conversation, rejected: Conversation): readonly ChatMessage[] {
  const prompt = promptOf(record) ?? commonTurns(chosen.messages, rejected.messages);
  if (prompt.length > 0) return prompt;
  throw fieldError(record, 'chosen', 'no turn before the answer', 'Add the prompt, under prompt or as the first turn');
}

/** The answer under a key, after its prompt, as a sample. @throws DataError if the answer or its prompt is missing */
export const chatAnswer = (record: DataRecord, name: string, settings: FormatSettings): FormattedExample =>
  conversation(record, settings, completedChat(record, name));

/** The turns of the prompt and of the answer under a key. @throws DataError if either is missing */
export function completedChat(record: DataRecord, name: string): Conversation {
  const prompt = promptOf(record) ?? [];
  if (prompt.length === 0) throw fieldError(record, 'prompt', 'no turn before the answer', 'Add the prompt');
  return answerAfter(record, { prompt, name, given: messagesOf(record, name) });
}

/** The turns of the prompt and of the better answer. @throws DataError as {@link formatPair} */
export function chosenChat(record: DataRecord): Conversation {
  const [given, other] = [messagesOf(record, 'chosen'), messagesOf(record, 'rejected')];
  return answerAfter(record, { prompt: turnsBefore(record, given, other), name: 'chosen', given });
}

interface ChatSide {
  readonly prompt: readonly ChatMessage[];
  readonly name: string;
  readonly given: Conversation;
}

function answerAfter(record: DataRecord, { prompt, name, given }: ChatSide): Conversation {
  const { messages, keys: _, ...others } = given;
  // Data sets with a separate prompt often repeat it in the answers.
  const isRepeated = startsWith(messages, prompt);
  const begin = isRepeated ? prompt.length : 0;
  const answers = messages.slice(begin);
  const missing = answers.every(({ role }) => role !== 'assistant');
  if (missing) throw fieldError(record, name, 'no turn of the role assistant after the prompt', 'Add the answer, or fix its role');
  const left = answers.findIndex(({ role }, i) => role === 'assistant' && given.weights?.[begin + i] === 0);
  if (left >= 0) throw leftOut(record, name, begin + left);
  return chatOf(prompt, answers, others);
}

/** The error for a sample whose answer would not be trained whole: as in TRL, the loss covers all tokens of an answer. */
function leftOut(record: DataRecord, name: string, index: number): DataError {
  const given = record.value[name];
  const [field, value] = trainFieldOf(Array.isArray(given) ? given[index] : given) ?? ['train', false];
  return fieldError(
    record,
    `${name}[${index}].${field}`,
    `${value} for a turn of an answer, expected every answer after the prompt to be trained`,
    `Remove ${field}, or move the turns up to this one into the prompt`,
  );
}

/** The turns under `prompt`, `conversations` or `messages`; a prompt that is a text becomes a user turn. */
function promptOf(record: DataRecord): readonly ChatMessage[] | undefined {
  const { prompt, conversations, messages } = record.value;
  if (typeof prompt === 'string') return askedTurns(record, optionalText(record, 'system'), prompt);
  if (prompt !== undefined && prompt !== null) return readConversation(record, 'prompt', turnNames(prompt)).messages;
  if (conversations !== undefined)
    return withSystem(optionalText(record, 'system'), readConversation(record, 'conversations', turnNames(conversations)).messages);
  return messages === undefined ? undefined : readConversation(record, 'messages', turnNames(messages)).messages;
}

/** An answer: a list of turns, one turn, or its text. */
function messagesOf(record: DataRecord, side: string): Conversation {
  const given = record.value[side];
  if (given === undefined || given === null) throw fieldError(record, side, describeValue(given), 'Give every sample all its answers');
  const turns = Array.isArray(given) ? given : [typeof given === 'string' ? answer(requiredText(record, side)) : given];
  return readConversation({ ...record, value: { ...record.value, [side]: turns } }, side, turnNames(turns));
}

const answer = (content: string): ChatMessage => ({ role: 'assistant', content });

/** Gives only the answers after the prompt a weight, so that no other turn is trained. */
const chatOf = (
  prompt: readonly ChatMessage[],
  answers: readonly ChatMessage[],
  others: Omit<Conversation, 'messages' | 'weights'>,
): Conversation => ({
  ...others,
  messages: [...prompt, ...answers],
  weights: [...prompt.map(() => 0), ...answers.map(({ role }) => Number(role === 'assistant'))],
});

const startsWith = (messages: readonly ChatMessage[], prompt: readonly ChatMessage[]): boolean =>
  messages.length > prompt.length && prompt.every((turn, i) => sameTurn(turn, messages[i]));
