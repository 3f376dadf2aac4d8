/** Reads a chat from a record: turns with all their fields, tools, documents, and the answers to train. */

import { isOneOf } from '../../catalog/entries.ts';
import { parseWithFloats } from '../../format/chat-template/float-json.ts';
import { isRecord } from '../../narrow.ts';
import { type DataError, describeValue } from '../data-error.ts';
import { functionOf } from '../tool-calls/function-of.ts';
import { type ChatMessage, type Conversation, type DataRecord, WEIGHT_STEPS } from '../types.ts';
import { isPlacedImage } from '../vision/sample-image.ts';
import { fieldError } from './record-fields.ts';

/** Role names of other tools (ShareGPT, LLaMA-Factory). */
const ROLES: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  assistant: 'assistant',
  function_call: 'assistant',
  system: 'system',
  developer: 'developer',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
};

/** The role whose text is a tool call in JSON (LLaMA-Factory). */
const CALL_ROLE = 'function_call';

/** Fields that say whether a turn is trained, whatever its role; templates never see them. */
const TRAIN_FIELDS = ['train', 'training', 'weight'] as const;

export interface TurnNames {
  readonly role: string;
  readonly content: string;
  /** Whether a turn may have a weight between 0 and 1, and turns of any role may be trained. */
  readonly weighs?: boolean;
}

/** Reads a chat. @throws DataError (file, line, key) for anything that is not a chat */
export function readConversation(record: DataRecord, key: string, names: TurnNames): Conversation {
  const turns = record.value[key];
  if (!Array.isArray(turns))
    throw fieldError(record, key, `${describeValue(turns)}, expected a list of turns`, 'Give every sample this key');
  if (turns.length === 0) throw fieldError(record, key, 'no turns', 'Remove the sample');
  const read = turns.map((turn: unknown, index) => readTurn(record, `${key}[${index}]`, turn, names));
  checkResults(
    record,
    key,
    read.map(({ message }) => message),
  );
  if (Array.isArray(record.value.functions) && record.value.functions.length > 0)
    throw oldForm(record, 'functions', 'list of tools', 'Write "tools": [{"type": "function", "function": {…}}] in its place');
  const variables = record.value.chat_template_kwargs;
  return {
    messages: read.map(({ message }) => message),
    keys: read.map((_, index) => `${key}[${index}]`),
    weights: read.map(({ weight }) => weight),
    ...listField(record, 'tools'),
    ...listField(record, 'documents'),
    ...(isRecord(variables) && { variables }),
  };
}

interface Turn {
  readonly message: ChatMessage;
  readonly weight: number | undefined;
}

function readTurn(record: DataRecord, path: string, turn: unknown, names: TurnNames): Turn {
  if (!isRecord(turn))
    throw fieldError(record, path, `${describeValue(turn)}, expected an object with ${names.role} and ${names.content}`, 'Fix the turn');
  const [given, content] = [turn[names.role], turn[names.content]];
  const others = otherFields(turn, names);
  const role = roleOf(record, path, names.role, given);
  // A shortcut for nearly all turns of large data.
  if (others === NONE && given !== CALL_ROLE && typeof content === 'string' && (role !== 'assistant' || hasText(content)))
    return { message: { role, content }, weight: undefined };
  const fields = Object.fromEntries(
    Object.entries(others).filter(([name, value]) => value !== null && value !== undefined && !isTrainField(name)),
  );
  if (fields.function_call !== undefined) throw oldForm(record, `${path}.function_call`, 'call', CALLS_NOW);
  const weight = weightOf(record, path, { role, fields: others, isWeighed: names.weighs === true });
  const at = `${path}.${names.content}`;
  if (given === CALL_ROLE) return { message: { role, tool_calls: [callOf(record, at, content)] }, weight };
  const calls = toolCalls(record, `${path}.tool_calls`, fields.tool_calls);
  const message = { role, ...fields, ...(calls && { tool_calls: calls }) };
  if ((content === null || content === undefined) && calls) return { message, weight };
  checkContent(record, at, content);
  const isAnswer = role === 'assistant' && calls === undefined && !hasText(fields.reasoning_content) && !hasText(fields.thinking);
  if (isAnswer && !hasText(content)) throw fieldError(record, at, 'an empty answer', 'Fill it in, or remove the sample');
  return { message: { ...message, content }, weight };
}

const CALLS_NOW =
  'Write "tool_calls": [{"type": "function", "function": {"name": …, "arguments": …}}] in its place, and the result in a turn of the role tool';

/** The error for fields that OpenAI's API replaced in 2023. No chat template reads them. */
const oldForm = (record: DataRecord, path: string, what: string, advice: string): DataError =>
  fieldError(record, path, `a ${what} in OpenAI's old form, which no chat template reads`, advice);

/** The role that another tool's name stands for; undefined for an unknown name. */
export const roleNamed = (name: string): string | undefined => (Object.hasOwn(ROLES, name) ? ROLES[name] : undefined);

const NONE: Readonly<Record<string, unknown>> = {};

/** The fields of a turn except its role and content. */
function otherFields(turn: Readonly<Record<string, unknown>>, { role, content }: TurnNames): Readonly<Record<string, unknown>> {
  const others: [string, unknown][] = [];
  for (const name in turn) if (name !== role && name !== content) others.push([name, turn[name]]);
  return others.length === 0 ? NONE : Object.fromEntries(others);
}

function roleOf(record: DataRecord, path: string, key: string, given: unknown): string {
  const role = typeof given === 'string' ? roleNamed(given) : undefined;
  if (role !== undefined) return role;
  const what = typeof given === 'string' ? `the unknown role "${given}"` : describeValue(given);
  const advice = typeof given === 'string' ? 'Rename the role' : 'Give the turn a role';
  throw fieldError(record, `${path}.${key}`, `${what}, expected one of ${Object.keys(ROLES).join(', ')}`, advice);
}

const isTrainField = (name: string): boolean => isOneOf(TRAIN_FIELDS, name);

/** The field of a turn that says whether it is trained, with its value. */
export const trainFieldOf = (turn: unknown): readonly [string, unknown] | undefined =>
  isRecord(turn) ? Object.entries(turn).find(([name, value]) => isTrainField(name) && value !== null) : undefined;

interface TurnFields {
  readonly role: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly isWeighed: boolean;
}

/** True for weights that can be stored: seven bits are stored with each token. */
const isFraction = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 1 && Math.abs(value * WEIGHT_STEPS - Math.round(value * WEIGHT_STEPS)) < 1e-9;

/**
 * The weight of a turn. `train: false` (Axolotl: `training`) or `weight: 0` (OpenAI) leaves a turn as context; `train: true` trains it
 * whatever its role; with a `weight` between 0 and 1, its tokens count less in the loss. Undefined if the turn has none of these fields.
 */
function weightOf(record: DataRecord, path: string, { role, fields, isWeighed }: TurnFields): number | undefined {
  for (const name of TRAIN_FIELDS) {
    const value = fields[name];
    if (value === undefined || value === null) continue;
    const isWeight = isWeighed ? isFraction(value) : value === 0 || value === 1;
    const isValid = name === 'weight' ? isWeight : typeof value === 'boolean';
    const ofWeights = isWeighed ? 'a number from 0 to 1 in steps of 0.01' : '0 or 1';
    const expected = name === 'weight' ? ofWeights : 'true or false';
    const shown = typeof value === 'number' || typeof value === 'boolean' ? String(value) : describeValue(value);
    if (!isValid) throw fieldError(record, `${path}.${name}`, `${shown}, expected ${expected}`, `Write ${expected}, or leave it out`);
    const weight = Math.round(Number(value) * WEIGHT_STEPS) / WEIGHT_STEPS;
    if (weight > 0 && role !== 'assistant' && !isWeighed)
      throw fieldError(record, `${path}.${name}`, `a turn of the role ${role} to be trained`, 'Only answers are compared or judged');
    return weight;
  }
  return undefined;
}

/** @throws DataError for content that is neither text nor a list of text parts */
function checkContent(record: DataRecord, path: string, content: unknown): void {
  if (typeof content === 'string') return;
  if (!Array.isArray(content)) throw fieldError(record, path, `${describeValue(content)}, expected a string`, 'Write the turn as text');
  for (const [i, part] of content.entries()) {
    const type = isRecord(part) ? part.type : undefined;
    if (isRecord(part) && type === 'text' && typeof part.text === 'string') continue;
    if (isPlacedImage(part)) continue;
    const what = typeof type === 'string' ? `a part of type "${type}"` : describeValue(part);
    throw fieldError(
      record,
      `${path}[${i}]`,
      `${what}, expected { type: text, text: … }`,
      type === 'image' || type === 'image_url' ? IMAGES_UNREAD : 'Only text and images can be trained on; remove other parts',
    );
  }
}

const IMAGES_UNREAD =
  'Images are read for models that see them, before the answers that a preference compares, if the first sample of the data has one; otherwise remove the part';

const hasText = (content: unknown): boolean =>
  typeof content === 'string'
    ? content.trim() !== ''
    : Array.isArray(content) && content.some(part => isRecord(part) && hasText(part.text));

function toolCalls(record: DataRecord, path: string, calls: unknown): readonly unknown[] | undefined {
  if (calls === undefined || (Array.isArray(calls) && calls.length === 0)) return undefined;
  if (!Array.isArray(calls)) throw fieldError(record, path, `${describeValue(calls)}, expected a list of calls`, 'Write it as a list');
  for (const [i, call] of calls.entries()) checkCall(record, `${path}[${i}]`, call);
  return calls;
}

/** Checks a call: `{ function: { name, arguments } }`, or only name and arguments. */
function checkCall(record: DataRecord, path: string, call: unknown): void {
  const inner = functionOf(call);
  const at = inner === call ? path : `${path}.function`;
  if (!isRecord(inner) || typeof inner.name !== 'string' || inner.name === '')
    throw fieldError(
      record,
      `${at}.name`,
      `${describeValue(isRecord(inner) ? inner.name : inner)}, expected the name of a function`,
      'Name it',
    );
  const { arguments: given } = inner;
  if (given === undefined || given === null || isRecord(given)) return;
  const isText = typeof given === 'string' && isRecord(parsed(given));
  if (!isText)
    throw fieldError(record, `${at}.arguments`, `${describeValue(given)}, expected an object, or one as JSON text`, 'Fix the arguments');
}

/** Checks a tool: `{ function: { name, description, parameters } }`, or only these three. A tool without arguments needs no parameters. */
function checkTool(record: DataRecord, path: string, tool: unknown): void {
  const inner = functionOf(tool);
  const at = inner === tool ? path : `${path}.function`;
  const { name, parameters } = isRecord(inner) ? inner : {};
  if (typeof name !== 'string' || name === '')
    throw fieldError(record, `${at}.name`, `${describeValue(name)}, expected the name of a function`, 'Name the tool');
  if (parameters !== undefined && parameters !== null && !isRecord(parameters))
    throw fieldError(record, `${at}.parameters`, `${describeValue(parameters)}, expected a JSON schema (an object)`, 'Fix the schema');
}

/** Checks that results follow calls. The last calls of a chat may be what it teaches. @throws DataError */
function checkResults(record: DataRecord, key: string, messages: readonly ChatMessage[]): void {
  let open: readonly unknown[] = [];
  let results = 0;
  for (const [i, { role, tool_calls: calls, tool_call_id: id }] of messages.entries()) {
    if (role === 'tool') {
      results++;
      const ids = open.map(idOf);
      if (typeof id === 'string' && ids.length > 0 && !ids.includes(undefined) && !ids.includes(id))
        throw fieldError(record, `${key}[${i}].tool_call_id`, `"${id}", expected ${ids.join(' or ')}`, 'Name the call whose result it is');
      continue;
    }
    const own = Array.isArray(calls) ? calls : [];
    // Calls without ids may share a result.
    const expected = open.every(call => idOf(call) !== undefined) ? open.length : Math.min(1, open.length);
    if (results < expected && !(results === 0 && own.length > 0))
      throw fieldError(
        record,
        `${key}[${i}]`,
        `a turn of the role ${role}, expected ${results === 0 ? 'the result of the call' : 'the results of all calls'} before it (role tool)`,
        'Add the result, or remove the call',
      );
    open = results === 0 ? [...open, ...own] : own;
    results = 0;
  }
}

const idOf = (call: unknown): unknown => (isRecord(call) ? call.id : undefined);

function callOf(record: DataRecord, path: string, content: unknown): unknown {
  const call = typeof content === 'string' ? parsed(content) : content;
  checkCall(record, path, call);
  return { type: 'function', function: call };
}

/** The tools of a record, if it has any. @throws DataError for anything other than descriptions of functions */
export const toolsOf = (record: DataRecord): Pick<Conversation, 'tools'> => listField(record, 'tools');

/** @throws DataError for tools next to plain text, which no chat template writes */
export function refuseTools(record: DataRecord): void {
  if (toolsOf(record).tools === undefined) return;
  throw fieldError(
    record,
    'tools',
    'tools next to plain text, which no chat template writes, so they would be lost',
    'Write the sample as a list of messages for a model with a chat template, or remove the tools',
  );
}

/** A list under a key of the record, or the same list as JSON text, which data sets with columns use. */
function listField(record: DataRecord, key: 'tools' | 'documents'): Partial<Record<typeof key, readonly unknown[]>> {
  const given = record.value[key];
  if (given === undefined || given === null || given === '') return {};
  const list = typeof given === 'string' ? parsed(given) : given;
  if (!Array.isArray(list))
    throw fieldError(record, key, `${describeValue(given)}, expected a list`, 'Write it as a list, or leave it out');
  const wrong = list.findIndex(each => !isRecord(each));
  if (wrong >= 0) throw fieldError(record, `${key}[${wrong}]`, `${describeValue(list[wrong])}, expected an object`, 'Fix it');
  if (key === 'tools') for (const [i, tool] of list.entries()) checkTool(record, `${key}[${i}]`, tool);
  return list.length === 0 ? {} : { [key]: list };
}

function parsed(text: string): unknown {
  try {
    return parseWithFloats(text);
  } catch {
    return undefined;
  }
}
