/** Describes the problem of a request for people: the parameter, what it must be, and what it is. */
import type { z } from 'zod';
import { didYouMean } from '../catalog/did-you-mean.ts';
import { isRecord } from '../narrow.ts';
import { grouped } from '../protocol/text/format.ts';

/** The API's own limits. */
export const MAX_STOPS = 4;
export const MAX_TOP_LOGPROBS = 20;
export const MAX_MESSAGES = 10_000;
export const MAX_INPUTS = 2048;

/** Requirements of each parameter, by its path; `[]` is an entry of a list. */
const EXPECTED: Readonly<Record<string, string>> = {
  '': 'a JSON object with the parameters',
  model: 'the name of a model that GET /v1/models lists',
  temperature: 'a number from 0 to 2',
  top_p: 'a number above 0 and not above 1',
  top_k: 'an integer, 0 or larger',
  seed: 'an integer',
  stop: `a text, or a list of up to ${MAX_STOPS} texts`,
  'stop[]': 'a text',
  stream: 'true or false',
  stream_options: 'an object, for example {"include_usage": true}',
  'stream_options.include_usage': 'true or false',
  n: '1, because a request gets one answer',
  best_of: '1, because a request gets one answer',
  frequency_penalty: '0, because penalties are not computed here; remove it',
  presence_penalty: '0, because penalties are not computed here; remove it',
  logit_bias: 'empty, because biases are not computed here; remove it',
  echo: 'false, because prompts are not repeated here; remove it',
  suffix: 'absent, because text between two parts is not written here; remove it',
  messages: `a list of 1 to ${MAX_MESSAGES} messages`,
  'messages[]': 'an object with "role" and "content"',
  'messages[].role': '"system", "developer", "user", "assistant", "tool" or "function"',
  'messages[].content':
    'a text, or a list of parts {"type": "text", "text": "…"} and {"type": "image_url", "image_url": {"url": "data:image/…"}}; other addresses and sounds are not read here',
  'messages[].tool_calls': 'a list of calls',
  'messages[].tool_calls[]': 'a call with the name of its function, and with its arguments as an object or as the JSON text of one',
  max_tokens: 'an integer, 1 or larger',
  max_completion_tokens: 'an integer, 1 or larger',
  top_logprobs: `an integer from 0 to ${MAX_TOP_LOGPROBS}`,
  tools: 'a list of objects, one for each tool',
  'tools[]': 'an object that describes a tool, with the name of its function',
  tool_choice: '"auto" or "none"',
  response_format: '{"type": "text"}',
  'response_format.type': '"text"; ask for JSON in the prompt',
  reasoning_effort: 'a text',
  chat_template_kwargs: 'an object with variables of the chat template',
  prompt: 'a text',
  input: `a text, a list of 1 to ${MAX_INPUTS} texts, or ids of tokens`,
  dimensions: 'an integer, 1 or larger',
  encoding_format: '"float" or "base64"',
};

/** The parameter `logprobs`, which has different types in the two kinds of requests. */
const LOGPROBS = { chat: 'true or false; top_logprobs says how many', text: `an integer from 0 to ${MAX_TOP_LOGPROBS}` } as const;

/** Maximum length of a value in a message: long enough to recognize it. */
const MAX_SHOWN = 60;

export interface RequestProblem {
  readonly param: string;
  readonly message: string;
}

/**
 * @param issue the first issue of a request
 * @param body the request
 * @param known the names of the parameters that this kind of request has
 */
export function requestProblem(issue: z.core.$ZodIssue, body: unknown, known: readonly string[]): RequestProblem {
  if (issue.code === 'unrecognized_keys') {
    const [param = ''] = issue.keys;
    const near = didYouMean(param, known);
    return {
      param,
      message: `'${param}' is not a parameter of this request: ${near === undefined ? 'remove it' : `did you mean '${near}'?`}`,
    };
  }
  const place = issue.path.map(step => (typeof step === 'number' ? '[]' : `.${String(step)}`)).join('');
  const param = issue.path
    .map(step => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
  const expected = expectedAt(place.replace(/^\./, ''), known);
  const value = issue.path.reduce(entryOf, body);
  const name = param === '' ? 'the body of the request' : `'${param}'`;
  return {
    param,
    message: value === undefined ? `${name} is missing: it must be ${expected}` : `${name} must be ${expected} (now ${shown(value)})`,
  };
}

const entryOf = (of: unknown, step: PropertyKey): unknown =>
  Array.isArray(of) ? of[Number(step)] : isRecord(of) ? of[String(step)] : undefined;

/** Returns the requirement for a path, or that of its parent if it has none of its own. */
function expectedAt(place: string, known: readonly string[]): string {
  if (place === 'logprobs') return LOGPROBS[known.includes('messages') ? 'chat' : 'text'];
  return EXPECTED[place] ?? expectedAt(place.replace(/(?:\[\]|\.?[^.[]+)$/, ''), known);
}

function shown(value: unknown): string {
  if (Array.isArray(value) && JSON.stringify(value).length > MAX_SHOWN) return `a list of ${grouped(value.length)}`;
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
