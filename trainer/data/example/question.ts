/** Extracts the question of a sample without its answer, which is all that another model needs to judge another answer. */
import type { Comparison } from '../../catalog/objectives.ts';
import { answersOf, type TurnChoice } from '../chat/format-chat.ts';
import { DataError } from '../data-error.ts';
import { readConversation, toolsOf } from '../read/read-conversation.ts';
import { optionalText, requiredText } from '../read/record-fields.ts';
import type { ChatRenderer, Conversation, DataFormat, DataRecord, FormattedExample, Question } from '../types.ts';
import { alpacaPrompt, alpacaTurns, conversation, type FormatSettings, fillPrompt, sharegptChat } from './format-example.ts';
import { chosenChat, completedChat, isChat, pairQuestion, SIDES } from './format-pair.ts';

export interface QuestionSettings extends Pick<FormatSettings, 'promptTemplate' | 'shownLabels'>, TurnChoice {
  readonly format: DataFormat;
  /** Present if the samples are answers that were compared or judged. */
  readonly answers?: Comparison['answers'] | undefined;
}

/**
 * The question of a record that training could read.
 * @param trained number of trained answers that remain of a chat that was cut to length; the question is the one for the last of them
 * @throws DataError for a record without a prompt
 */
export function questionOf(record: DataRecord, settings: QuestionSettings, trained: number): Question {
  const { format, answers } = settings;
  const before = (chat: Conversation, choice: TurnChoice = { trainedTurns: 'all' }): Question => ({
    chat: turnsBefore(chat, choice, trained),
  });
  const hasSides = SIDES.every(side => Object.hasOwn(record.value, side));
  if (answers === 'pairs' || (answers === 'judged' && hasSides))
    return isChat(record, ...SIDES) ? before(chosenChat(record)) : pairQuestion(record);
  if (answers === 'judged' && Object.hasOwn(record.value, 'completion') && isChat(record, 'completion'))
    return before(completedChat(record, 'completion'));
  const choice: TurnChoice = answers === 'judged' ? { trainedTurns: 'last' } : settings;
  switch (format) {
    case 'messages':
      return before(readConversation(record, 'messages', { role: 'role', content: 'content', weighs: true }), choice);
    case 'sharegpt':
      return before(sharegptChat(record), choice);
    case 'alpaca': {
      const [instruction, input] = [requiredText(record, 'instruction'), optionalText(record, 'input')];
      const messages = alpacaTurns({ instruction, input, system: optionalText(record, 'system') });
      return { chat: { ...toolsOf(record), messages }, text: alpacaPrompt(instruction, input) };
    }
    case 'prompt_completion':
      return { text: requiredText(record, 'prompt') };
    case 'text_label': {
      const text = fillPrompt(settings, requiredText(record, 'text'));
      return { chat: { messages: [{ role: 'user', content: text }] }, text };
    }
    case 'text':
    case 'preference':
      throw new DataError({ file: record.file, line: record.line, problem: 'no prompt', advice: 'Write samples as prompt and completion' });
  }
}

function turnsBefore({ weights, ...chat }: Conversation, choice: TurnChoice, trained: number): Conversation {
  const answers = answersOf({ ...chat, ...(weights && { weights }) }, choice);
  return { ...chat, messages: chat.messages.slice(0, answers[Math.min(trained, answers.length) - 1] ?? 0) };
}

/**
 * A sample with a question and a trained answer, for a model with this chat template or without one. A model without a template reads a
 * chat that asks one question as text.
 * @throws DataError for a chat of several turns if there is no template, or if the template refuses the answer
 */
export function answerTo({ chat, text }: Question, answer: string, { place, chatRenderer }: AnswerSettings): FormattedExample {
  if (chat && chatRenderer) {
    const messages = [...chat.messages, { role: 'assistant', content: answer }];
    const weights = messages.map((_, i) => Number(i === chat.messages.length));
    return conversation(place, { chatRenderer, trainedTurns: 'last' }, { ...chat, messages, weights });
  }
  const prompt = text ?? questionText(chat);
  if (prompt === undefined)
    throw new DataError({
      file: place.file,
      line: place.line,
      problem: 'the sample is a chat of several turns, but the model has no chat template',
      advice: 'Take a reward model with a chat template, or hold out samples with one question',
    });
  const before = prompt === '' ? [] : [{ text: prompt, train: false }];
  return { pieces: [...before, { text: answer, train: true }], chat: false };
}

export interface AnswerSettings {
  readonly place: Pick<DataRecord, 'file' | 'line'>;
  readonly chatRenderer?: ChatRenderer | undefined;
}

/** The text of a chat that asks one question: the question, with the system message or the like before it. */
function questionText(chat: Conversation | undefined): string | undefined {
  const { messages = [], tools, documents } = chat ?? {};
  const isOne = messages.length > 0 && messages.every(({ role }, i) => (i === messages.length - 1 ? role === 'user' : role === 'system'));
  const texts = messages.map(({ content }) => content);
  if (!isOne || tools || documents) return undefined;
  return texts.every(text => typeof text === 'string') ? texts.join('\n\n') : undefined;
}
