/** Reads the tool calls in text that a model wrote, in the form of its chat template. */
import { isRecord } from '../../narrow.ts';
import { type ArgumentForm, argumentsIn, type NamedForm, type ObjectForm, type ToolCallForm } from './call-form.ts';
import { functionOf } from './function-of.ts';
import { jsonObjectAt, jsonObjects } from './json-objects.ts';
import { CONSTANTS, type Literal, readLiteral } from './literal.ts';
import { hasLetter, MarkReader, markPattern } from './marks.ts';

export interface ToolCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

const NAME = '[\\p{L}\\p{N}_.-]{1,128}';
/** Some models write more between a name and a JSON object than their template does: a content type, or a code fence. */
const GAP = '[^{]{0,80}(?=\\{)';

/** The calls in a text, in order. @param tools the tools that the model was given, in the form of the API */
export function toolCallsIn(text: string, form: ToolCallForm, tools: readonly unknown[]): readonly ToolCall[] {
  return form.kind === 'object' ? objectCalls(text, form) : namedCalls(text, form, tools);
}

/** True if a text may be the beginning of a call without a mark of letters before it. */
export function mayBeginCall(text: string, form: ToolCallForm): boolean {
  const given = text.replaceAll(/\s/g, '');
  const start = form.opening;
  if (start.startsWith(given)) return true;
  if (!given.startsWith(start)) return false;
  const rest = given.slice(start.length);
  if (form.kind === 'object') return /^\[?(?:\{|$)/.test(rest);
  const tail = rest.replace(new RegExp(`^${NAME}`, 'u'), '');
  const after = form.afterName.replaceAll(/\s/g, '') || (form.each ? '' : '{');
  return tail !== rest && (tail.startsWith(after) || after.startsWith(tail));
}

const objectCalls = (text: string, { nameKey, argumentsKey }: ObjectForm): ToolCall[] =>
  [...jsonObjects(text)].flatMap(({ value }) => {
    const name = value[nameKey];
    const given = argumentsIn(value[argumentsKey]);
    return typeof name === 'string' && given !== undefined ? [{ name, arguments: given }] : [];
  });

function namedCalls(text: string, form: NamedForm, tools: readonly unknown[]): ToolCall[] {
  const calls: ToolCall[] = [];
  const reader = new MarkReader(text);
  if (form.between !== '' || !hasLetter(form.nameMark)) {
    // Calls follow one another from the start of the text.
    for (let mark = form.nameMark; reader.takeMark(mark); mark = form.between) {
      const call = namedCall(reader, form, tools);
      if (call === undefined) break;
      calls.push(call);
      if (form.between === '') break;
    }
    return calls;
  }
  const marks = new RegExp(markPattern(form.nameMark), 'gu');
  for (let found = marks.exec(text); found !== null; found = marks.exec(text)) {
    reader.at = marks.lastIndex;
    const call = namedCall(reader, form, tools);
    if (call === undefined) continue;
    calls.push(call);
    marks.lastIndex = reader.at;
  }
  return calls;
}

/** Reads a call whose name begins here. */
function namedCall(reader: MarkReader, form: NamedForm, tools: readonly unknown[]): ToolCall | undefined {
  reader.take('\\s*');
  const name = reader.take(NAME);
  if (name === undefined) return undefined;
  const given = form.each ? eachArgument(reader, form, form.each, typesOf(tools, name)) : objectArguments(reader, form);
  return given && { name, arguments: given };
}

function objectArguments(reader: MarkReader, { afterName, opening }: NamedForm): ToolCall['arguments'] | undefined {
  const isExact = reader.takeMark(afterName);
  if (opening === '' ? !isExact : reader.take(GAP) === undefined) return undefined;
  const object = jsonObjectAt(reader.text, reader.at);
  if (object) reader.at = object.end;
  return object?.value;
}

type ArgumentTypes = Readonly<Record<string, unknown>>;

function eachArgument(
  reader: MarkReader,
  { afterName }: NamedForm,
  form: ArgumentForm,
  types: ArgumentTypes,
): ToolCall['arguments'] | undefined {
  if (!reader.takeMark(afterName)) return undefined;
  const found: [string, unknown][] = [];
  const read = form.quote === '' ? plainValue : literalValue;
  while (true) {
    const before = reader.at;
    const key = reader.takeMark(form.beforeKey) ? reader.take(NAME) : undefined;
    if (key === undefined) {
      reader.at = before;
      // A truncated answer must not count as a call with fewer arguments.
      return reader.takeMark(form.end) ? Object.fromEntries(found) : undefined;
    }
    const value = read(reader, form, types[key]);
    if (value === undefined) return undefined;
    found.push([key, value.value]);
  }
}

/** A raw value, whose type comes from the tool's schema. */
function plainValue(reader: MarkReader, form: ArgumentForm, type: unknown): Literal | undefined {
  const { afterKey, afterValue, beforeKey, end } = form;
  const spaceAfter = /\s*$/.exec(afterKey)?.[0] ?? '';
  const spaceBefore = /^\s*/.exec(afterValue)?.[0] ?? '';
  if (reader.take(`\\s*${markPattern(afterKey)}(?:${spaceAfter})?`) === undefined) return undefined;
  const next = [beforeKey, end].map(markPattern).filter(pattern => pattern !== '');
  const close = new RegExp(`(?:${spaceBefore})?${markPattern(afterValue)}(?=\\s*(?:${[...next, '$'].join('|')}))`, 'gu');
  close.lastIndex = reader.at;
  const found = close.exec(reader.text);
  if (found === null) return undefined;
  const text = reader.text.slice(reader.at, found.index);
  reader.at = close.lastIndex;
  return { value: typedValue(text, type) };
}

function literalValue(reader: MarkReader, { afterKey, afterValue, quote }: ArgumentForm): Literal | undefined {
  if (!reader.takeMark(afterKey)) return undefined;
  const found = readLiteral(reader, quote);
  // The last value may lack this mark.
  if (found) reader.takeMark(afterValue);
  return found;
}

/** The types of a tool's arguments, by name. */
function typesOf(tools: readonly unknown[], name: string): ArgumentTypes {
  for (const tool of tools) {
    const inner = functionOf(tool);
    if (!isRecord(inner) || inner.name !== name || !isRecord(inner.parameters)) continue;
    const { properties } = inner.parameters;
    return isRecord(properties)
      ? Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key, isRecord(schema) ? schema.type : undefined]))
      : {};
  }
  return {};
}

/** Converts raw text. It stays text if the schema allows a string; without a schema, it is parsed as JSON if possible. */
function typedValue(text: string, type: unknown): unknown {
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  if (types.includes('string')) return text;
  const word = text.trim();
  if (Object.hasOwn(CONSTANTS, word)) return CONSTANTS[word];
  try {
    return JSON.parse(word);
  } catch {
    return text;
  }
}
