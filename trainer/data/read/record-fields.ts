/** Reads the fields of a record with checks: every failure is a DataError with file, line and key. */
import { DataError, describeValue } from '../data-error.ts';
import type { ChatMessage, DataRecord } from '../types.ts';

/** What other tools call the roles of a chat (sharegpt). */
const roleNames: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  assistant: 'assistant',
  system: 'system',
  developer: 'developer',
  tool: 'tool',
  observation: 'tool',
};

/** The text under a key; empty text (or nothing but spaces) is an error. */
export function requiredText(record: DataRecord, key: string): string {
  const value = record.value[key];
  if (typeof value !== 'string') throw fieldError(record, key, `${describeValue(value)}, expected a string`, 'Give every sample this key');
  if (value.trim() === '') throw fieldError(record, key, 'empty text', 'Fill it in, or remove the sample');
  return value;
}

/** The text under a key, or '' where it is absent, null or empty. */
export function optionalText(record: DataRecord, key: string): string {
  const value = record.value[key];
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw fieldError(record, key, `${describeValue(value)}, expected a string`, 'Write it as text, or leave it out');
}

/**
 * The name of a sample's label. An integer, or a string of digits that is no name itself, indexes `names`; without names it is
 * its own name. Where a name is digits too it is refused: it may be meant either way, or be a label that is not known.
 */
export function labelName(record: DataRecord, key: string, names: readonly string[]): string {
  const value = record.value[key];
  const isIndex = typeof value === 'number' && Number.isInteger(value);
  if (typeof value === 'boolean') return checkedName(record, key, String(value), names);
  if (typeof value === 'number' && !isIndex)
    throw fieldError(
      record,
      key,
      `the number ${value}, expected a label (a string or an integer)`,
      'Write labels as names or whole numbers; an encoder predicts numbers by task: sequence_regression',
    );
  if (!isIndex && typeof value !== 'string') {
    throw fieldError(record, key, `${describeValue(value)}, expected a label (a string or an integer)`, 'Give every sample a label');
  }
  const text = String(value).trim();
  if (text === '') throw fieldError(record, key, 'an empty label', 'Fill it in, or remove the sample');
  if (names.length === 0 || names.includes(text)) return text;
  if (/^\d+$/.test(text)) {
    if (names.some(name => /^\d+$/.test(name)))
      throw fieldError(
        record,
        key,
        `the label ${text}, expected one of ${names.join(', ')}: labels that are numbers are not counted from 0`,
        'List every label under data: labels, in words where the samples count them from 0 ("1 star"), or mend the sample',
      );
    const name = names[Number(text)];
    if (name !== undefined) return name;
    throw fieldError(record, key, `label ${text}, but labels names only 0 to ${names.length - 1}`, 'Add the missing name to data: labels');
  }
  return checkedName(record, key, text, names);
}

/** The order of labels: '2' before '10', names by their letters. */
export function byNumberOrName(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)];
  return Number.isFinite(x) && Number.isFinite(y) ? x - y : a < b ? -1 : Number(a > b);
}

/** The turns under a key, each with `role` and `content`, or `from` and `value`. */
export function chatMessages(record: DataRecord, key: string, names: { role: string; content: string }): ChatMessage[] {
  const turns = record.value[key];
  if (!Array.isArray(turns))
    throw fieldError(record, key, `${describeValue(turns)}, expected a list of turns`, 'Give every sample this key');
  if (turns.length === 0) throw fieldError(record, key, 'no turns', 'Remove the sample');
  return turns.map((turn: unknown, index) => chatMessage(record, `${key}[${index}]`, turn, names));
}

export function fieldError(record: DataRecord, key: string, problem: string, advice: string): DataError {
  return new DataError({ file: record.file, line: record.line, key, problem, advice });
}

function chatMessage(record: DataRecord, path: string, turn: unknown, names: { role: string; content: string }): ChatMessage {
  if (turn === null || typeof turn !== 'object' || Array.isArray(turn)) {
    throw fieldError(record, path, `${describeValue(turn)}, expected an object with ${names.role} and ${names.content}`, 'Mend the turn');
  }
  const fields = turn as Record<string, unknown>;
  const given = fields[names.role];
  const role = typeof given === 'string' && Object.hasOwn(roleNames, given) ? roleNames[given] : undefined;
  if (role === undefined) {
    const what = typeof given === 'string' ? `the unknown role "${given}"` : describeValue(given);
    throw fieldError(record, `${path}.${names.role}`, `${what}, expected one of ${Object.keys(roleNames).join(', ')}`, 'Rename the role');
  }
  const content = textOfContent(fields[names.content]);
  if (content === undefined) {
    const what = `${describeValue(fields[names.content])}, expected a string`;
    throw fieldError(record, `${path}.${names.content}`, what, 'Write the turn as text');
  }
  if (content.trim() === '' && role === 'assistant') {
    throw fieldError(record, `${path}.${names.content}`, 'an empty answer', 'Fill it in, or remove the sample');
  }
  return { role, content };
}

/** A string, or the joined text of parts `{type: "text", text}`; undefined for anything else. */
function textOfContent(content: unknown): string | undefined {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.map((part: unknown) => (part as { type?: unknown } | null)?.type === 'text' && (part as { text?: unknown }).text);
  return texts.every(text => typeof text === 'string') ? texts.join('') : undefined;
}

function checkedName(record: DataRecord, key: string, name: string, names: readonly string[]): string {
  if (names.length === 0 || names.includes(name)) return name;
  throw fieldError(record, key, `the label "${name}", expected one of ${names.join(', ')}`, 'Add it to data: labels, or mend the sample');
}
