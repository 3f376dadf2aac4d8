/** Detects how a model writes tool calls from its chat template, without a list of model families. */
import { isRecord, recordIn } from '../../narrow.ts';
import type { ChatMessage, ChatRenderer } from '../types.ts';
import { jsonObjects } from './json-objects.ts';
import { commonEnd, commonStart, coreOf, firstWords, hasLetter, lastWord, wholeMark } from './marks.ts';

export type ToolCallForm = ObjectForm | NamedForm;

interface BegunForm {
  /** The mark before the first call, without white space; empty if an answer consists only of a call. */
  readonly opening: string;
}

/** The form of a call that is a JSON object with two keys. */
export interface ObjectForm extends BegunForm {
  readonly kind: 'object';
  readonly nameKey: string;
  readonly argumentsKey: string;
}

/** The form of a call that is the name of the tool, followed by its arguments. */
export interface NamedForm extends BegunForm {
  readonly kind: 'named';
  /** The mark before each name. */
  readonly nameMark: string;
  /** The text between two calls, if the calls of an answer have no mark in common. */
  readonly between: string;
  /** The text after a name, up to the arguments. */
  readonly afterName: string;
  /** The form of each argument; undefined if all are one JSON object. */
  readonly each: ArgumentForm | undefined;
}

/** The form of an argument: a key and a value, with marks around them. */
export interface ArgumentForm {
  readonly beforeKey: string;
  readonly afterKey: string;
  /** The quotation mark of texts, for values that are literals; empty if a value is raw text up to `afterValue`. */
  readonly quote: string;
  /** The text after a value, up to the next key. */
  readonly afterValue: string;
  /** The beginning of the text after the last value, or after a name without arguments. */
  readonly end: string;
}

export interface ToolUse {
  /** Whether the template shows tools to the model. */
  readonly passesTools: boolean;
  /** Undefined if the template shows no tools, or writes calls in an unrecognized form. */
  readonly form: ToolCallForm | undefined;
}

const NAME = 'probe_tool';
/** A key and value of the probe; the keys are in alphabetical order, because a template may sort them. */
const TEXT = { key: 'probe_a', value: 'probe value' };
const NUMBER = { key: 'probe_b', value: 7731 };
const TOOL = {
  type: 'function',
  function: {
    name: NAME,
    description: 'Probes.',
    parameters: {
      type: 'object',
      properties: { [TEXT.key]: { type: 'string', description: 'A text.' }, [NUMBER.key]: { type: 'integer', description: 'A number.' } },
      required: [TEXT.key, NUMBER.key],
    },
  },
};
/** A character that no template writes. */
const SAID = '§';
const ASKED: ChatMessage = { role: 'user', content: 'Hi' };
const callMessage = (content: string | null, count: number): ChatMessage => ({
  role: 'assistant',
  content,
  tool_calls: Array.from({ length: count }, (_, i) => ({
    id: `call0000${i}`,
    type: 'function',
    function: { name: NAME, arguments: { [TEXT.key]: TEXT.value, [NUMBER.key]: NUMBER.value } },
  })),
});

/** Renders probe calls, and detects their form in the text. */
export function toolUseOf(renderer: ChatRenderer): ToolUse {
  const render = (messages: readonly ChatMessage[], addGenerationPrompt = false): string | undefined => {
    try {
      return renderer.render({ messages, tools: [TOOL] }, { addGenerationPrompt }).text;
    } catch {
      // A template may refuse tools, several calls, or a call with a text.
      return undefined;
    }
  };
  const asked = render([ASKED], true);
  if (asked?.includes(NAME) !== true) return { passesTools: false, form: undefined };
  const answered = render([ASKED, { role: 'assistant', content: SAID }]) ?? asked;
  for (const content of ['', null]) {
    const [one, two] = [1, 2].map(count => callsOf(render([ASKED, callMessage(content, count)]), answered, asked));
    const form = one === undefined ? undefined : (objectForm(one) ?? namedForm(one, two));
    if (form) return { passesTools: true, form };
  }
  return { passesTools: true, form: undefined };
}

/** The calls in a rendered chat, without the turns before them and without the end of an answer. */
function callsOf(chat: string | undefined, answered: string, asked: string): string | undefined {
  if (chat === undefined) return undefined;
  const [before = '', after = ''] = answered.split(SAID);
  const start = wholeMark(chat, Math.max(commonStart(before, chat), commonStart(asked, chat)));
  const text = chat.slice(start);
  return after !== '' && text.endsWith(after) ? text.slice(0, -after.length) : text;
}

function objectForm(written: string): ObjectForm | undefined {
  for (const { start, value } of jsonObjects(written)) {
    const nameKey = keyOf(value, held => held === NAME);
    const argumentsKey = keyOf(value, held => argumentsIn(held)?.[TEXT.key] === TEXT.value);
    if (nameKey !== undefined && argumentsKey !== undefined)
      return { kind: 'object', opening: firstWords(written.slice(0, start), 1), nameKey, argumentsKey };
  }
  return undefined;
}

/** Arguments as an object, or from a text that holds one. */
export const argumentsIn = (held: unknown): Readonly<Record<string, unknown>> | undefined =>
  isRecord(held) ? held : typeof held === 'string' ? recordIn(held) : undefined;

const keyOf = (value: Readonly<Record<string, unknown>>, holds: (held: unknown) => boolean): string | undefined =>
  Object.keys(value).find(key => holds(value[key]));

function namedForm(written: string, two: string | undefined): NamedForm | undefined {
  const at = written.indexOf(NAME);
  if (at < 0) return undefined;
  const afterName = written.slice(at + NAME.length);
  const opening = firstWords(written.slice(0, at), 1);
  const object = [...jsonObjects(afterName)].find(({ value }) => value[TEXT.key] === TEXT.value);
  const ends = callEnds(written, two);
  const found = object ? { afterName: afterName.slice(0, object.start), each: undefined } : argumentForm(afterName, ends);
  if (!found) return undefined;
  const mark = lastWord(written.slice(0, at));
  const { between } = ends;
  // The marks before the first name and before the next one may begin differently.
  const shared = between === undefined ? mark : mark.slice(mark.length - commonEnd(mark, lastWord(between)));
  const isMarked = hasLetter(shared);
  // Without any mark, every text that begins with a word would be a call.
  if (opening === '' && coreOf(found.afterName) === '' && object === undefined) return undefined;
  return { kind: 'named', opening, nameMark: isMarked ? shared : mark, between: isMarked ? '' : (between ?? ''), ...found };
}

interface CallEnds {
  /** The text after the arguments of each call. */
  readonly end: string;
  /** The text from `end` to the next name; undefined if the template writes no second call. */
  readonly between: string | undefined;
}

function callEnds(one: string, two: string | undefined): CallEnds {
  const afterNumber = (text: string): string => text.slice(text.indexOf(String(NUMBER.value)) + String(NUMBER.value).length);
  const tail = afterNumber(one);
  const rest = two === undefined ? '' : afterNumber(two);
  const next = rest.indexOf(NAME);
  if (next < 0) return { end: tail, between: undefined };
  const shared = wholeMark(tail, commonStart(tail, rest.slice(0, next)));
  return { end: tail.slice(0, shared), between: rest.slice(shared, next) };
}

/** Detects how arguments follow a name. */
function argumentForm(
  text: string,
  { end: callEnd, between }: CallEnds,
): { readonly afterName: string; readonly each: ArgumentForm } | undefined {
  const pieces = piecesBetween(text, [TEXT.key, TEXT.value, NUMBER.key, String(NUMBER.value)]);
  if (!pieces) return undefined;
  const [toKey = '', toText = '', toNextKey = '', toNumber = ''] = pieces;
  if (coreOf(toNumber) === '' || !toText.startsWith(toNumber)) return undefined;
  const quote = toText.slice(toNumber.length);
  if (!toNextKey.startsWith(quote)) return undefined;
  const separator = toNextKey.slice(quote.length);
  const beforeKey = toKey.slice(toKey.length - commonEnd(toKey, separator));
  const afterName = toKey.slice(0, toKey.length - beforeKey.length);
  const afterValue = separator.slice(0, separator.length - beforeKey.length);
  const literalEnd = firstWords(callEnd, 1);
  const end =
    quote === '' && callEnd.startsWith(afterValue)
      ? firstWords(callEnd.slice(afterValue.length), 2)
      : // A single call may be followed by brackets that close a list.
        literalEnd.slice(0, between === undefined ? 1 : literalEnd.length);
  // Values and calls must have an end mark.
  if (end === '' || coreOf(quote === '' ? afterValue : afterName) === '') return undefined;
  return { afterName, each: { beforeKey, afterKey: toNumber, quote, afterValue, end } };
}

/** The texts before, between and after consecutive words; undefined if a word is missing. */
function piecesBetween(text: string, words: readonly string[]): readonly string[] | undefined {
  const pieces: string[] = [];
  let from = 0;
  for (const word of words) {
    const at = text.indexOf(word, from);
    if (at < 0) return undefined;
    pieces.push(text.slice(from, at));
    from = at + word.length;
  }
  return [...pieces, text.slice(from)];
}
