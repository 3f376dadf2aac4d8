/**
 * Reads samples of plain records, as `readSample` does for parsed ones. Undefined means that the record is wrong or unusual and must be
 * parsed.
 */
import { alpacaPrompt, type FormatSettings, fillPrompt } from '../../example/format-example.ts';
import { OF_CHATS } from '../../format-columns.ts';
import { roleNamed } from '../../read/read-conversation.ts';
import type { DataFormat } from '../../types.ts';
import { MAX_TURNS, type PlainTurns } from '../decide/keeps-answer.ts';
import type { TextBounds } from '../decide/text-bounds.ts';
import { type JsonTape, LIST, OBJECT, TEXT } from './json-tape.ts';
import { JoinedText, type MeasuredText, TapeText, WholeText } from './measured-text.ts';
import type { PlainRecord } from './plain-record.ts';
import { labelIn } from './plain-values.ts';

export type PlainSample =
  | { readonly kind: 'chat'; readonly turns: PlainTurns; readonly label?: string | undefined }
  | {
      readonly kind: 'answer';
      /** Length of the prompt in UTF-8 bytes. */
      readonly promptBytes: number;
      /** The texts of the data within the prompt. */
      readonly parts: readonly MeasuredText[];
      readonly prompt: () => string;
      readonly answer: MeasuredText;
      readonly label?: string | undefined;
    };

export interface PlainSettings {
  readonly formatting: FormatSettings;
  readonly bounds: TextBounds;
}

type ReadPlain = (record: PlainRecord, settings: PlainSettings) => PlainSample | undefined;

/** Returns a function that reads samples of a format; undefined if all records must be parsed. */
export function plainReaderOf({ formatting }: Pick<PlainSettings, 'formatting'>): ReadPlain | undefined {
  const { format, chat, chatRenderer, trainedRoles } = formatting;
  const hasTurns = format === 'messages' || format === 'sharegpt';
  if ((chat === true && chatRenderer === undefined) || (trainedRoles && !hasTurns)) return undefined;
  return readers[format];
}

const readers: Readonly<Partial<Record<DataFormat, ReadPlain>>> = {
  alpaca(record, { formatting, bounds }) {
    const instruction = textIn(record, 'instruction', bounds);
    const input = optionalIn(record, 'input', bounds);
    const answer = textIn(record, 'output', bounds);
    const system = optionalIn(record, 'system', bounds);
    if (instruction === undefined || input === undefined || answer === undefined || system === undefined || record.has('tools'))
      return undefined;
    if (usesChat(formatting, true)) {
      const question = input === NO_TEXT ? instruction : new JoinedText(instruction, input);
      return chatOf(system === NO_TEXT ? [question, answer] : [system, question, answer]);
    }
    const hasInput = input !== NO_TEXT;
    return {
      kind: 'answer',
      promptBytes: (hasInput ? INPUT_PROMPT : PLAIN_PROMPT) + instruction.bytes + (hasInput ? input.bytes : 0),
      parts: hasInput ? [instruction, input] : [instruction],
      prompt: () => alpacaPrompt(instruction.text(), hasInput ? input.text() : ''),
      answer,
    };
  },
  prompt_completion(record, { formatting, bounds }) {
    const prompt = textIn(record, 'prompt', bounds);
    const answer = textIn(record, 'completion', bounds);
    if (prompt === undefined || answer === undefined || record.has('tools')) return undefined;
    if (usesChat(formatting, false)) return chatOf([prompt, answer]);
    return { kind: 'answer', promptBytes: prompt.bytes, parts: [prompt], prompt: () => prompt.text(), answer };
  },
  text_label(record, { formatting, bounds }) {
    const text = textIn(record, 'text', bounds);
    const label = labelIn(record, formatting.labels);
    if (text === undefined || label === undefined || record.has('tools')) return undefined;
    const prompt = new WholeText(fillPrompt(formatting, text.text()), bounds);
    if (usesChat(formatting, true)) return { ...chatOf([prompt, new WholeText(label, bounds)]), label };
    const answer = new WholeText(` ${label}`, bounds);
    return { kind: 'answer', promptBytes: prompt.bytes, parts: [prompt], prompt: () => prompt.text(), answer, label };
  },
  messages: (record, { bounds }) => (isAlone(record) ? turnsIn(record, 'messages', MESSAGES, bounds) : undefined),
  sharegpt: (record, { bounds }) =>
    isAlone(record) && !record.has('system') ? turnsIn(record, 'conversations', SHAREGPT, bounds) : undefined,
};

/** A text that is missing, null or empty. */
const NO_TEXT = 'none';

const PLAIN_PROMPT = Buffer.byteLength(alpacaPrompt('', ''));
const INPUT_PROMPT = Buffer.byteLength(alpacaPrompt('', 'x')) - 1;

const usesChat = ({ chat, chatRenderer }: FormatSettings, automatic: boolean): boolean =>
  chat === 'auto' ? automatic && chatRenderer !== undefined : chat;

const chatOf = (texts: readonly MeasuredText[]): PlainSample & { kind: 'chat' } => ({
  kind: 'chat',
  turns: { roles: texts.length === 2 ? 'user assistant' : 'system user assistant', texts },
});

/** A text that begins with a visible character. */
function textOf(tape: JsonTape, entry: number, bounds: TextBounds): TapeText | undefined {
  return tape.kind(entry) === TEXT && tape.firstByte(entry) !== 0 ? new TapeText(tape, entry, bounds) : undefined;
}

function textIn(record: PlainRecord, name: string, bounds: TextBounds): TapeText | undefined {
  const entry = record.column(name);
  return entry === undefined ? undefined : textOf(record.tape, entry, bounds);
}

function optionalIn(record: PlainRecord, name: string, bounds: TextBounds): TapeText | typeof NO_TEXT | undefined {
  const { tape } = record;
  const entry = record.column(name);
  if (entry === undefined || tape.isNull(entry)) return NO_TEXT;
  if (tape.kind(entry) !== TEXT) return undefined;
  return tape.byteLength(entry) === 0 ? NO_TEXT : textOf(tape, entry, bounds);
}

/** True if a chat consists only of its turns. */
const isAlone = (record: PlainRecord): boolean => !OF_CHATS.some(name => record.has(name));

interface TurnKeys {
  readonly role: Buffer;
  readonly content: Buffer;
}

const MESSAGES: TurnKeys = { role: Buffer.from('role'), content: Buffer.from('content') };
const SHAREGPT: TurnKeys = { role: Buffer.from('from'), content: Buffer.from('value') };

function turnsIn(record: PlainRecord, name: string, keys: TurnKeys, bounds: TextBounds): PlainSample | undefined {
  const { tape } = record;
  const list = record.column(name);
  if (list === undefined || tape.kind(list) !== LIST) return undefined;
  const texts: TapeText[] = [];
  let roles = '';
  const end = tape.behind(list);
  for (let turn = list + 1; turn < end; turn = tape.behind(turn)) {
    const role = roleIn(tape, turn, keys);
    const text = contentIn(tape, turn, keys, bounds);
    if (role === undefined || text === undefined || texts.length === MAX_TURNS) return undefined;
    roles = texts.length === 0 ? role : `${roles} ${role}`;
    texts.push(text);
  }
  return texts.length === 0 ? undefined : { kind: 'chat', turns: { roles, texts } };
}

/** The entry of a key of a turn that has exactly two keys; −1 if its keys differ. */
function entryIn(tape: JsonTape, turn: number, key: Buffer): number {
  if (tape.kind(turn) !== OBJECT) return -1;
  const end = tape.behind(turn);
  const second = end > turn + 1 ? tape.behind(turn + 2) : end;
  if (second >= end || tape.behind(second + 1) !== end) return -1;
  return tape.hasBytes(turn + 1, key) ? turn + 2 : tape.hasBytes(second, key) ? second + 1 : -1;
}

function roleIn(tape: JsonTape, turn: number, { role }: TurnKeys): string | undefined {
  const entry = entryIn(tape, turn, role);
  if (entry < 0 || tape.kind(entry) !== TEXT) return undefined;
  for (const [bytes, name] of ROLES) if (tape.hasBytes(entry, bytes)) return name;
  return undefined;
}

/** Names of roles whose texts are not calls. */
const ROLES = ['user', 'assistant', 'system', 'human', 'gpt', 'tool', 'developer', 'model'].map(
  name => [Buffer.from(name), roleNamed(name)] as const,
);

function contentIn(tape: JsonTape, turn: number, { content }: TurnKeys, bounds: TextBounds): TapeText | undefined {
  const entry = entryIn(tape, turn, content);
  return entry < 0 ? undefined : textOf(tape, entry, bounds);
}
