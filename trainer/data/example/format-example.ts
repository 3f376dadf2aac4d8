/** Turns a record into pieces of text, each trained or not, with one function per format. */
import { namesWhere, orList } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { textOfContent } from '../../protocol/text/content-text.ts';
import { type ContextPart, withoutReasoning } from '../chat/context-parts.ts';
import { chatPieces, type TurnChoice } from '../chat/format-chat.ts';
import { DataError } from '../data-error.ts';
import { readConversation, refuseTools, toolsOf } from '../read/read-conversation.ts';
import { fieldError, labelName, optionalText, requiredText } from '../read/record-fields.ts';
import type { ChatMessage, ChatRenderer, Conversation, DataFormat, DataRecord, FormattedExample, Piece } from '../types.ts';
import { questionOf } from '../vision/image-parts.ts';

export interface FormatSettings extends TurnChoice {
  readonly format: DataFormat;
  /** The prompt of a text_label sample; {text} and {labels} are replaced. */
  readonly promptTemplate: string;
  /** Label names by id; empty if labels are their own names. */
  readonly labels: readonly string[];
  /** The label names for {labels}. */
  readonly shownLabels: readonly string[];
  /** Whether prompts become user turns of the chat template. 'auto': for alpaca and text_label if the model has a template. */
  readonly chat: boolean | 'auto';
  /** If false, prompts are trained too. */
  readonly completionOnly: boolean;
  /** The parts of a trained answer that stay context; if left out, none. */
  readonly contextParts?: readonly ContextPart[] | undefined;
  readonly chatRenderer?: ChatRenderer;
}

/** The prompt of Stanford Alpaca (tatsu-lab/stanford_alpaca, train.py), with the final line break that alpaca-lora and later tools add. */
export function alpacaPrompt(instruction: string, input: string): string {
  const context = input === '' ? '' : ', paired with an input that provides further context';
  const inputPart = input === '' ? '' : `### Input:\n${input}\n\n`;
  return `Below is an instruction that describes a task${context}. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n${inputPart}### Response:\n`;
}

/** A sample as read from its record: a chat, a prompt with its answer as plain text, or text without a prompt. */
export type ReadSample =
  | {
      readonly kind: 'chat';
      readonly chat: Conversation;
      /** The stretch of the prompt that may be shortened. */
      readonly flexible?: string;
      readonly label?: string;
    }
  | { readonly kind: 'answer'; readonly prompt: string; readonly flexible: string; readonly answer: string; readonly label?: string }
  | { readonly kind: 'text'; readonly text: string };

/** Reads the sample of a record. @throws DataError (file, line, key) for a missing key, a value of the wrong type, or empty text */
export function readSample(record: DataRecord, settings: FormatSettings): ReadSample {
  if (settings.trainedRoles && !WITH_ROLES.has(settings.format)) throw withoutRoles(record, settings);
  return readers[settings.format](record, settings);
}

/** Formats a record. @throws DataError as `readSample` does, and for a chat that the template refuses */
export function formatExample(record: DataRecord, settings: FormatSettings): FormattedExample {
  const made = written(record, readSample(record, settings), settings);
  const leavesReasoning = !made.chat && settings.contextParts?.includes('reasoning');
  const example = leavesReasoning ? { ...made, pieces: made.pieces.map(withoutReasoning) } : made;
  if (settings.completionOnly) return example;
  if (example.pieces.some(({ weight }) => weight !== undefined))
    throw fieldError(
      record,
      settings.format === 'sharegpt' ? 'conversations' : 'messages',
      'a turn with a weight, where every token is trained',
      'Set data.completion_only: true, or remove the weights',
    );
  return {
    ...example,
    pieces: example.pieces.map(({ targets: _, ...piece }) => ({ ...piece, train: true, ...(piece.train && { isAnswer: true }) })),
  };
}

/** Formats whose turns have roles. */
const WITH_ROLES: ReadonlySet<DataFormat> = new Set(['messages', 'sharegpt']);

const withoutRoles = ({ file, line }: DataRecord, { format, trainedRoles = [] }: FormatSettings): DataError =>
  new DataError({
    file,
    line,
    problem: `a sample of the format '${format}' has no turns, of which data.trained_roles (${trainedRoles.join(', ')}) could choose`,
    advice: 'Write the data as lists of messages, or remove data.trained_roles; data.completion_only: false trains prompts too',
  });

/** @throws DataError, because two answers cannot become one text */
function refusePair({ file, line }: DataRecord): never {
  const tasks = orList(namesWhere(objectiveCatalog, ({ compares }) => compares !== undefined));
  throw new DataError({
    file,
    line,
    key: 'rejected',
    problem: 'a better and a worse answer, which this task does not compare',
    advice: `Set task: ${tasks}, or train on the better answers alone with columns: {completion: chosen}`,
  });
}

const readers: Readonly<Record<DataFormat, (record: DataRecord, settings: FormatSettings) => ReadSample>> = {
  preference: refusePair,
  alpaca(record, settings) {
    const instruction = requiredText(record, 'instruction');
    const input = optionalText(record, 'input');
    const output = requiredText(record, 'output');
    const system = optionalText(record, 'system');
    if (usesChat(record, settings, true))
      return chatOf(record, withImagesOf(record, alpacaTurns({ instruction, input, system })), output, input);
    // With `chat: false`, the template is not known yet.
    if (settings.chat !== false) refuseTools(record);
    return { kind: 'answer', prompt: alpacaPrompt(instruction, input), flexible: input, answer: output };
  },
  messages(record) {
    return { kind: 'chat', chat: readConversation(record, 'messages', { role: 'role', content: 'content', weighs: true }) };
  },
  sharegpt(record) {
    return { kind: 'chat', chat: sharegptChat(record) };
  },
  prompt_completion(record, settings) {
    const prompt = requiredText(record, 'prompt');
    const answer = requiredText(record, 'completion');
    if (usesChat(record, settings, hasImages(record)))
      return chatOf(record, withImagesOf(record, [{ role: 'user', content: prompt }]), answer, prompt);
    refuseTools(record);
    return { kind: 'answer', prompt, flexible: prompt, answer };
  },
  text(record) {
    return { kind: 'text', text: requiredText(record, 'text') };
  },
  text_label(record, settings) {
    const text = requiredText(record, 'text');
    const label = labelName(record, 'label', settings.labels);
    const prompt = fillPrompt(settings, text);
    const turns = () => withImagesOf(record, [{ role: 'user', content: prompt }]);
    if (usesChat(record, settings, true)) return { ...chatOf(record, turns(), label, text), label };
    return { kind: 'answer', prompt, flexible: text, answer: ` ${label}`, label };
  },
};

/** True if images of the record were opened. */
export const hasImages = ({ images = [] }: DataRecord): boolean => images.length > 0;

/** The turns of a prompt, with the images of the record in the question. */
export const withImagesOf = (record: DataRecord, turns: readonly ChatMessage[]): ChatMessage[] =>
  hasImages(record)
    ? turns.map(turn => (turn.role === 'user' ? { ...turn, content: questionOf(record, 'images', textOfContent(turn.content)) } : turn))
    : [...turns];

function chatOf(record: DataRecord, prompt: readonly ChatMessage[], answer: string, flexible: string): ReadSample & { kind: 'chat' } {
  return { kind: 'chat', chat: { ...toolsOf(record), messages: [...prompt, { role: 'assistant', content: answer }] }, flexible };
}

/** The pieces of a sample with only answers trained. @throws DataError for a chat that the template refuses */
function written(record: DataRecord, sample: ReadSample, settings: FormatSettings): FormattedExample {
  if (sample.kind !== 'chat' && hasImages(record))
    throw fieldError(
      record,
      'images',
      'images next to plain text, into which only a chat template can write them',
      'Take an instruction-tuned model with a chat template',
    );
  if (sample.kind === 'text') return { pieces: [{ text: sample.text, train: true }], chat: false };
  const labeled = sample.label !== undefined && { label: sample.label };
  if (sample.kind === 'answer') return { pieces: promptPieces(sample.prompt, sample.flexible, sample.answer), chat: false, ...labeled };
  const example = conversation(record, settings, sample.chat);
  const [head, ...rest] = example.pieces;
  const { flexible } = sample;
  if (flexible === undefined || head === undefined) return { ...example, ...labeled };
  // Templates trim their input.
  const stretch = head.text.includes(flexible) ? flexible : flexible.trim();
  return { ...example, pieces: [...splitAround(head.text, stretch), ...rest], ...labeled };
}

/** The prompt of a text_label sample. */
export const fillPrompt = ({ promptTemplate, shownLabels }: Pick<FormatSettings, 'promptTemplate' | 'shownLabels'>, text: string): string =>
  promptTemplate.replace(/\{text\}|\{labels\}/g, placeholder => (placeholder === '{text}' ? text : shownLabels.join(', ')));

/** The chat of a record in ShareGPT's form. */
export function sharegptChat(record: DataRecord): Conversation {
  const chat = readConversation(record, 'conversations', { role: 'from', content: 'value', weighs: true });
  const system = optionalText(record, 'system');
  if (system === '') return chat;
  const { messages, weights = [], keys = [] } = chat;
  return { ...chat, messages: withSystem(system, messages), weights: [undefined, ...weights], keys: ['system', ...keys] };
}

/** Pieces of the prompt before, in and after the stretch that may be shortened, then the completion. */
function promptPieces(prompt: string, flexible: string, completion: string): Piece[] {
  return [...splitAround(prompt, flexible), { text: completion, train: true }];
}

function splitAround(prompt: string, flexible: string): Piece[] {
  const at = flexible === '' ? -1 : prompt.indexOf(flexible);
  if (at < 0) return [{ text: prompt, train: false }];
  const pieces: Piece[] = [
    { text: prompt.slice(0, at), train: false },
    { text: flexible, train: false, shrink: true },
    { text: prompt.slice(at + flexible.length), train: false },
  ];
  return pieces.filter(piece => piece.text !== '');
}

export function usesChat(record: DataRecord, { chat, chatRenderer }: FormatSettings, automatic: boolean): boolean {
  if (chat === true && chatRenderer === undefined) throw noTemplate(record);
  return chat === 'auto' ? automatic && chatRenderer !== undefined : chat;
}

/** An instruction with its input as the turns of a chat; an empty input or system message is left out. */
export function alpacaTurns({ instruction, input, system }: Readonly<Record<'instruction' | 'input' | 'system', string>>): ChatMessage[] {
  return withSystem(system, [{ role: 'user', content: input === '' ? instruction : `${instruction}\n\n${input}` }]);
}

export function withSystem(system: string, messages: readonly ChatMessage[]): ChatMessage[] {
  return system === '' ? [...messages] : [{ role: 'system', content: system }, ...messages];
}

export function conversation(
  record: Pick<DataRecord, 'file' | 'line'>,
  { chatRenderer, trainedTurns, trainedRoles, contextParts }: Pick<FormatSettings, 'chatRenderer' | 'contextParts' | keyof TurnChoice>,
  chat: Conversation,
): FormattedExample {
  if (chatRenderer === undefined) throw noTemplate(record);
  const place = { file: record.file, line: record.line };
  const { pieces, notes } = chatPieces(chat, { renderer: chatRenderer, trainedTurns, trainedRoles, contextParts, place });
  return { pieces, chat: true, notes };
}

function noTemplate(record: Pick<DataRecord, 'file' | 'line'>): DataError {
  return new DataError({
    file: record.file,
    line: record.line,
    problem: 'the sample is a chat, but the model has no chat template',
    advice: 'Take an instruction-tuned model, or write the data as prompt and completion',
  });
}
