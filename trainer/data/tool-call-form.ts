/** The form in which a model writes calls of tools, read off its chat template: no family is listed by hand. */
import { isRecord, recordIn } from '../narrow.ts';
import type { ChatMessage, ChatRenderer } from './types.ts';

export interface ToolCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A call is a JSON object with two keys, after `opening`. */
export interface ToolCallForm {
  /** Text before the first call, without surrounding space; empty if an answer is nothing but a call. */
  readonly opening: string;
  readonly nameKey: string;
  readonly argumentsKey: string;
}

const PROBE = { name: 'probe_tool', arguments: { probe_key: 'probe value' } };
const TOOL = {
  type: 'function',
  function: {
    name: PROBE.name,
    description: 'Probes.',
    parameters: { type: 'object', properties: { probe_key: { type: 'string', description: 'A key.' } }, required: ['probe_key'] },
  },
};
const ASKED: ChatMessage = { role: 'user', content: 'Hi' };
const CALLED: ChatMessage = { role: 'assistant', content: '', tool_calls: [{ id: 'call00001', type: 'function', function: PROBE }] };

/**
 * Renders a call of a probe, and looks for it in the text.
 * @returns undefined if the template ignores tools, or writes calls in another form than JSON
 */
export function toolCallForm(renderer: ChatRenderer): ToolCallForm | undefined {
  const render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean): string =>
    renderer.render({ messages, tools: [TOOL] }, { addGenerationPrompt }).text;
  try {
    const asked = render([ASKED], true);
    if (!asked.includes(PROBE.name)) return undefined;
    const written = afterCommonStart(asked, render([ASKED, CALLED], false));
    for (const { start, value } of jsonObjects(written)) {
      const nameKey = keyOf(value, held => held === PROBE.name);
      const argumentsKey = keyOf(value, held => isRecord(held) && held.probe_key === PROBE.arguments.probe_key);
      if (nameKey !== undefined && argumentsKey !== undefined) return { opening: lastLine(written.slice(0, start)), nameKey, argumentsKey };
    }
  } catch {
    // A template that refuses tools or calls has no form of them.
  }
  return undefined;
}

/** The calls in a text that a model wrote, in their order. */
export function toolCallsIn(text: string, { nameKey, argumentsKey }: ToolCallForm): readonly ToolCall[] {
  return [...jsonObjects(text)].flatMap(({ value }) => {
    const { [nameKey]: name, [argumentsKey]: given } = value;
    return typeof name === 'string' && isRecord(given) ? [{ name, arguments: given }] : [];
  });
}

/** Templates may write empty thoughts before a call, on lines of their own. */
const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

function afterCommonStart(start: string, text: string): string {
  let length = 0;
  while (length < start.length && start[length] === text[length]) length++;
  return text.slice(length);
}

const keyOf = (value: Readonly<Record<string, unknown>>, holds: (held: unknown) => boolean): string | undefined =>
  Object.keys(value).find(key => holds(value[key]));

/** The outermost JSON objects in a text, with their places. */
function* jsonObjects(text: string): Generator<{ readonly start: number; readonly value: Readonly<Record<string, unknown>> }> {
  for (let start = text.indexOf('{'); start >= 0; start = text.indexOf('{', start)) {
    const end = endOfObject(text, start);
    const value = end === undefined ? undefined : recordIn(text.slice(start, end));
    if (value !== undefined) yield { start, value };
    start = value === undefined ? start + 1 : (end ?? start + 1);
  }
}

/** The place after the brace that closes the one at `start`; undefined if none does. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0;
  let isText = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (isText) {
      if (character === '\\') i++;
      else if (character === '"') isText = false;
    } else if (character === '"') isText = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return i + 1;
  }
  return undefined;
}
