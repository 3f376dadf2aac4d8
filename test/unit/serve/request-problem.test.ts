/** Tests the messages for an invalid API request: the parameter, what it must be, and what it is. None comes from a library. */
import { describe, expect, test } from 'vitest';
import { messageOf } from '../../../trainer/protocol/error-facts.ts';
import { readChatRequest, readCompletionRequest, readEmbeddingRequest } from '../../../trainer/serve/api-requests.ts';
import { RequestError } from '../../../trainer/serve/request-error.ts';

const good = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

function refusal(read: (body: unknown) => unknown, body: unknown): RequestError {
  try {
    read(body);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(body)}`);
}

describe('a parameter that is wrong', () => {
  test.each([
    [{ ...good, temperature: 3 }, 'temperature', "'temperature' must be a number from 0 to 2 (now 3)"],
    [{ ...good, temperature: 'hot' }, 'temperature', `'temperature' must be a number from 0 to 2 (now "hot")`],
    [{ messages: good.messages }, 'model', "'model' is missing: it must be the name of a model that GET /v1/models lists"],
    [{ model: 'm', messages: 'Hi' }, 'messages', `'messages' must be a list of 1 to 10000 messages (now "Hi")`],
    [
      { model: 'm', messages: [{ role: 'robot', content: 'x' }] },
      'messages[0].role',
      `'messages[0].role' must be "system", "developer", "user", "assistant", "tool" or "function" (now "robot")`,
    ],
    [{ ...good, stop: [1] }, 'stop', "'stop' must be a text, or a list of up to 4 texts (now [1])"],
    [{ ...good, logprobs: 2 }, 'logprobs', "'logprobs' must be true or false; top_logprobs says how many (now 2)"],
    [{ ...good, max_token: 5 }, 'max_token', "'max_token' is not a parameter of this request: did you mean 'max_tokens'?"],
    [{ ...good, mirostat: 1 }, 'mirostat', "'mirostat' is not a parameter of this request: remove it"],
    [{ ...good, n: 2 }, 'n', "'n' must be 1, because a request gets one answer (now 2)"],
    [
      { ...good, messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{bad' } }] }] },
      'messages[0].tool_calls[0]',
      `'messages[0].tool_calls[0]' must be a call with the name of its function, and with its arguments as an object or as the JSON text of one (now {"function":{"name":"f","arguments":"{bad"}})`,
    ],
    [
      { ...good, tools: [{ type: 'function', function: {} }] },
      'tools[0]',
      `'tools[0]' must be an object that describes a tool, with the name of its function (now {"type":"function","function":{}})`,
    ],
    [[1], '', 'the body of the request must be a JSON object with the parameters (now [1])'],
  ])('%j', (body, param, message) => {
    const found = refusal(readChatRequest, body);
    expect([found.status, found.param, found.message]).toEqual([400, param, message]);
  });

  test('of texts and of vectors', () => {
    const text = refusal(readCompletionRequest, { model: 'm', prompt: 'a', logprobs: true });
    expect(text.message).toBe("'logprobs' must be an integer from 0 to 20 (now true)");
    expect(refusal(readEmbeddingRequest, { model: 'm', input: {} }).message).toMatch(/^'input' must be a text, a list of 1 to 2048 texts/);
  });
});

function messageFor(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

test('every parameter has words of its own for a wrong value', () => {
  const wrong = [{ odd: true }, -1, 'x', [], [[]], [{}], [-1], null];
  const kinds = [
    { read: readChatRequest, base: good },
    { read: readCompletionRequest, base: { model: 'm', prompt: 'a' } },
    { read: readEmbeddingRequest, base: { model: 'm', input: 'a' } },
  ];
  const names =
    'model temperature top_p top_k seed stop stream stream_options n best_of frequency_penalty presence_penalty logit_bias echo suffix messages max_tokens max_completion_tokens logprobs top_logprobs tools tool_choice response_format reasoning_effort chat_template_kwargs prompt input dimensions encoding_format';
  const refused = new Set<string>();
  for (const { read, base } of kinds)
    for (const name of names.split(' '))
      for (const value of wrong) {
        const message = messageFor(() => read({ ...base, [name]: value }));
        if (message === undefined || message.includes('is not a parameter')) continue;
        refused.add(name);
        expect(message).toMatch(/^'[\w.[\]]+' (?:is missing: it )?must be \S/);
        expect(message).not.toMatch(/Invalid|expected|JSON object with the parameters/);
      }
  expect([...refused].sort()).toEqual(names.split(' ').sort());
});

test.each([
  [
    { type: 'function', function: { name: 'f', arguments: '' } },
    { type: 'function', function: { name: 'f', arguments: '{}' } },
  ],
  [
    { name: 'f', arguments: ' ' },
    { name: 'f', arguments: '{}' },
  ],
])('a call with an empty text of arguments has none: %j', (given, call) => {
  const { messages } = readChatRequest({ ...good, messages: [{ role: 'assistant', tool_calls: [given] }] });
  expect(messages).toEqual([{ role: 'assistant', tool_calls: [call] }]);
});
