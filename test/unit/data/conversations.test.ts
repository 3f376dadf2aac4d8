/** Chats with tools, reasoning and selected turns in the templates of published models: nothing is lost, and only answers are trained. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { type FormatSettings, formatExample } from '../../../trainer/data/example/format-example.ts';
import { formatPair } from '../../../trainer/data/example/format-pair.ts';
import { parseRecord } from '../../../trainer/data/read/parse-record.ts';
import type { FormattedExample } from '../../../trainer/data/types.ts';
import { CHAT_FORMAT, TEMPLATES, templateNamed } from '../../support/chat-format.ts';
import { readJson } from '../../support/files/read-json.ts';
import { chatForm } from '../../support/golden/golden-chats.ts';

const renderer = (template: string) =>
  chatRendererOf({ chatTemplate: template, specialTokens: { bos_token: '<s>', eos_token: '</s>' } }, () => new Date(2024, 6, 4));

function format(template: string, value: Record<string, unknown>, changes: Partial<FormatSettings> = {}): FormattedExample {
  const settings: FormatSettings = {
    ...CHAT_FORMAT,
    format: 'messages' in value ? 'messages' : 'sharegpt',
    chatRenderer: renderer(template),
    ...changes,
  };
  return formatExample({ file: 'chats.jsonl', line: 3, value }, settings);
}

const trained = ({ pieces }: FormattedExample): string[] => pieces.filter(({ train }) => train).map(({ text }) => text);
const whole = ({ pieces }: FormattedExample): string => pieces.map(({ text }) => text).join('');

const tools = [
  { type: 'function', function: { name: 'get_weather', description: 'The weather of a city.', parameters: { type: 'object' } } },
];
const calls = (given: unknown) => [{ id: 'call00001', type: 'function', function: { name: 'get_weather', arguments: given } }];
const withTools = (given: unknown = { city: 'Bern' }) => ({
  tools,
  messages: [
    { role: 'user', content: 'Weather in Bern?' },
    { role: 'assistant', content: null, tool_calls: calls(given) },
    { role: 'tool', tool_call_id: 'call00001', name: 'get_weather', content: 'sunny' },
    { role: 'assistant', content: 'It is sunny.' },
  ],
});

describe('a chat with tools', () => {
  test.each(['qwen3', 'llama3', 'mistral', 'gpt-oss'])('%s writes the tool, trains the call and the answer', name => {
    const example = format(templateNamed(name), withTools());
    expect(whole(example)).toContain('The weather of a city.');
    const [call, answer, ...others] = trained(example);
    expect(call).toMatch(/get_weather[\s\S]*Bern/);
    expect(answer).toContain('It is sunny.');
    expect(others).toEqual([]);
    expect(trained(example).join('')).not.toContain('sunny"');
  });

  test.each(['qwen3', 'llama3', 'mistral'])('%s renders arguments as JSON text like an object', name => {
    expect(format(templateNamed(name), withTools('{"city": "Bern"}'))).toEqual(format(templateNamed(name), withTools()));
  });

  test.each([
    ['an object', '{"amount": 5.0, "rate": 1e5, "count": 2}'],
    ['JSON text', '"{\\"amount\\": 5.0, \\"rate\\": 1e5, \\"count\\": 2}"'],
  ])('writes the floats of a file as Python does: arguments as %s', (_, given) => {
    const text = JSON.stringify(withTools({})).replace('"arguments":{}', `"arguments":${given}`);
    const [call] = trained(format(templateNamed('llama3'), parseRecord({ file: 'chats.jsonl', line: 3, text })));
    expect(call).toContain('{"amount": 5.0, "rate": 100000.0, "count": 2}');
  });

  it('in the roles of LLaMA-Factory reads as the same chat', () => {
    const sharegpt = {
      tools: JSON.stringify(tools),
      conversations: [
        { from: 'human', value: 'Weather in Bern?' },
        { from: 'function_call', value: '{"name": "get_weather", "arguments": {"city": "Bern"}}' },
        { from: 'observation', value: 'sunny' },
        { from: 'gpt', value: 'It is sunny.' },
      ],
    };
    expect(format(templateNamed('qwen3'), sharegpt).pieces).toEqual(format(templateNamed('qwen3'), withTools()).pieces);
  });

  const asked = { tools, instruction: 'Weather in Bern?', output: 'It is sunny.' };
  const compared = { tools, question: 'Weather in Bern?', chosen: 'It is sunny.', rejected: 'No.' };
  const settings = { ...CHAT_FORMAT, chatRenderer: renderer(templateNamed('qwen3')) };

  it('as columns of an instruction or of a pair reaches the template', () => {
    const place = { file: 'chats.jsonl', line: 3 };
    const { chosen, rejected } = formatPair({ ...place, value: compared }, { ...settings, format: 'preference' });
    for (const example of [formatExample({ ...place, value: asked }, { ...settings, format: 'alpaca' }), chosen, rejected])
      expect(whole(example)).toContain('The weather of a city.');
  });

  test.each<[string, Record<string, unknown>, FormatSettings]>([
    ['an instruction', asked, { ...settings, format: 'alpaca', chatRenderer: undefined }],
    ['a prompt', { tools, prompt: 'A', completion: 'B' }, { ...settings, format: 'prompt_completion' }],
    ['a pair', { tools, prompt: 'A', chosen: 'B', rejected: 'C' }, { ...settings, format: 'preference' }],
    ['a pair with a question', compared, { ...settings, format: 'preference', chatRenderer: undefined }],
  ])('next to %s in plain text is refused', (_, value, given) => {
    const record = { file: 'chats.jsonl', line: 3, value };
    expect(() => (given.format === 'preference' ? formatPair(record, given) : formatExample(record, given))).toThrow(
      'chats.jsonl:3: key "tools": tools next to plain text, which no chat template writes, so they would be lost',
    );
  });

  test.each(['gemma3', 'llama2', 'phi4', 'chatml'])('%s, whose template has no place for tools, is refused', name => {
    expect(() => format(templateNamed(name), withTools())).toThrow(
      /chats\.jsonl:3: key "(tools|messages\[1\]\.tool_calls)(\[0\])?": the model's chat template does not/,
    );
  });
});

describe('reasoning', () => {
  const chat = {
    messages: [
      { role: 'user', content: '1 + 1?' },
      { role: 'assistant', reasoning_content: 'Count the sticks.', content: '2' },
      { role: 'user', content: '2 + 2?' },
      { role: 'assistant', reasoning_content: 'Count them again.', content: '4' },
    ],
  };

  it('that the template removes from earlier answers is an error, unless only the last answer is trained', () => {
    expect(() => format(templateNamed('qwen3'), chat)).toThrow('Set data.trained_turns: last');
    const example = format(templateNamed('qwen3'), chat, { trainedTurns: 'last' });
    expect(trained(example)).toEqual(['<think>\nCount them again.\n</think>\n\n4<|im_end|>']);
    expect(example.notes).toEqual(["have earlier answers whose reasoning the model's chat template removes"]);
  });

  it('that the template never writes is an error instead of being lost', () => {
    expect(() => format(templateNamed('llama3'), chat)).toThrow('key "messages[1].reasoning_content"');
    const [asked, answered] = chat.messages;
    const turns = [
      { from: 'human', value: asked?.content },
      { from: 'gpt', value: answered?.content, reasoning_content: 'Hm.' },
    ];
    for (const system of ['', 'Be brief.'])
      expect(() => format(templateNamed('llama3'), { system, conversations: turns })).toThrow('key "conversations[1].reasoning_content"');
    const inContent = {
      messages: [
        { role: 'user', content: '1?' },
        { role: 'assistant', content: '<think>Count.</think>1' },
      ],
    };
    expect(() => format(templateNamed('deepseek-r1'), inContent)).toThrow('leaves out a part of this answer ("Count.")');
  });
});

describe('which answers are trained', () => {
  const turns = (changes: Record<string, unknown>) => ({
    messages: [
      { role: 'user', content: 'A' },
      { role: 'assistant', content: 'B', ...changes },
      { role: 'user', content: 'C' },
      { role: 'assistant', content: 'D' },
    ],
  });

  test.each([{ train: false }, { training: false }, { weight: 0 }])('%o leaves one out', changes => {
    expect(trained(format(templateNamed('qwen3'), turns(changes)))).toEqual(['<think>\n\n</think>\n\nD<|im_end|>']);
    expect(whole(format(templateNamed('qwen3'), turns(changes)))).toBe(whole(format(templateNamed('qwen3'), turns({}))));
  });

  it('a weight applies to its own answer only', () => {
    const weightsOf = ({ pieces }: FormattedExample) => pieces.filter(({ train }) => train).map(({ weight }) => weight);
    expect(weightsOf(format(templateNamed('qwen3'), turns({ weight: 0.25 })))).toEqual([0.25, undefined]);
    expect(format(templateNamed('qwen3'), turns({ weight: 1 }))).toEqual(format(templateNamed('qwen3'), turns({})));
    const sharegpt = {
      system: 'Be brief.',
      conversations: [
        { from: 'human', value: 'A' },
        { from: 'gpt', value: 'B', weight: 0.07 },
      ],
    };
    expect(weightsOf(format(templateNamed('qwen3'), sharegpt))).toEqual([0.07]);
  });

  it('weights are refused if every token is trained, and in pairs of answers', () => {
    expect(() => format(templateNamed('qwen3'), turns({ weight: 0.5 }), { completionOnly: false })).toThrow(
      'key "messages": a turn with a weight, where every token is trained. Set data.completion_only: true, or remove the weights',
    );
    const [prompt, better, , worse] = turns({ weight: 0.5 }).messages;
    const pair = { prompt: [prompt], chosen: [better], rejected: [worse] };
    const settings = { ...CHAT_FORMAT, format: 'messages' as const, chatRenderer: renderer(templateNamed('qwen3')) };
    expect(() => formatPair({ file: 'pairs.jsonl', line: 1, value: pair }, settings)).toThrow(
      'key "chosen[0].weight": 0.5, expected 0 or 1',
    );
    const asked = { ...pair, prompt: [{ ...prompt, train: true }], chosen: [{ ...better, weight: 1 }] };
    expect(() => formatPair({ file: 'pairs.jsonl', line: 1, value: asked }, settings)).toThrow(
      'key "prompt[0].train": a turn of the role user to be trained. Only answers are compared or judged',
    );
  });

  it('a template that marks stretches which are not answers takes one weight', () => {
    const template =
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content[:1] }}{% endgeneration %}{% generation %}{{ m.content[1:] }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}";
    const chat = (first: number, second: number) => ({
      messages: [
        { role: 'user', content: 'A' },
        { role: 'assistant', content: 'BB', weight: first },
        { role: 'user', content: 'C' },
        { role: 'assistant', content: 'DD', weight: second },
      ],
    });
    const one = format(template, chat(0.5, 0.5)).pieces.filter(({ train }) => train);
    expect(one.map(({ text, weight }) => [text, weight])).toEqual([...'BBDD'].map(letter => [letter, 0.5]));
    expect(() => format(template, chat(0.5, 1))).toThrow('marks 4 stretches of 2 answers, so single answers cannot be weighed');
  });

  it('an earlier answer is trained with its own end token, and a difference is noted', () => {
    const example = format(templateNamed('gpt-oss'), turns({}));
    expect(trained(example)).toEqual(['<|channel|>final<|message|>B<|end|>', '<|channel|>final<|message|>D<|return|>']);
    expect(example.notes).toEqual(["have earlier answers that the model's chat template ends with a different token from the last answer"]);
    expect(format(templateNamed('gpt-oss'), turns({}), { trainedTurns: 'last' }).notes).toEqual([]);
  });

  test.each(['gpt-oss', 'smollm3'])('a system message in the middle, which the template of %s drops, is refused', name => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'system', content: 'Be brief.' },
      { role: 'assistant', content: 'Hello!' },
    ];
    expect(() => format(templateNamed(name), { messages })).toThrow(
      /key "messages\[1\]": the model's chat template drops this turn of the role 'system'/,
    );
  });

  it('an empty system message that the template drops is ignored', () => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello!' },
    ];
    const mistral = templateNamed('mistral');
    const empty = { messages: [{ role: 'system', content: ' ' }, ...messages] };
    expect(format(mistral, empty)).toEqual(format(mistral, { messages }));
    expect(trained(format(mistral, empty))).toEqual([' Hello!</s>']);
  });

  it('every token of a chat is trained with completion_only: false, and its answers are known for a cut', () => {
    const { pieces } = format(templateNamed('qwen2.5'), withTools(), { completionOnly: false });
    expect(pieces.every(({ train }) => train)).toBe(true);
    expect(pieces.filter(({ isAnswer }) => isAnswer).map(({ isCall = false }) => isCall)).toEqual([true, false]);
  });

  it('a last answer is trained behind the system message that the template writes into the last question alone', () => {
    const chat = (...messages: object[]) => ({ messages: [{ role: 'system', content: 'Be brief.' }, ...messages] });
    const question = { role: 'user', content: 'C' };
    const example = format(templateNamed('mistral'), chat(question, { role: 'assistant', content: 'D' }));
    expect(example.pieces).toEqual([
      { text: '<s>[INST] Be brief.\n\nC[/INST]', train: false },
      { text: ' D</s>', train: true },
    ]);
    expect(example.notes).toEqual(["have a system message that the model's chat template writes into the last question"]);
    const long = chat(...turns({}).messages);
    expect(() => format(templateNamed('mistral'), long)).toThrow(
      /key "messages\[0\]": the model's chat template drops the system message.*trained_turns: last/,
    );
    expect(whole(format(templateNamed('mistral'), long, { trainedTurns: 'last' }))).toBe(
      '<s>[INST] A[/INST] B</s>[INST] Be brief.\n\nC[/INST] D</s>',
    );
  });

  it('answers that the template writes differently from a last one are found', () => {
    const example = format(templateNamed('qwen3'), turns({ content: 'B <|im_end|>\n B' }));
    expect(trained(example)).toEqual(['B <|im_end|>\n B<|im_end|>', '<think>\n\n</think>\n\nD<|im_end|>']);
  });

  it('the last alone', () =>
    expect(trained(format(templateNamed('llama3'), turns({}), { trainedTurns: 'last' }))).toEqual(['D<|eot_id|>']));

  it('the stretches that the template marks', () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    expect(trained(format(template, turns({})))).toEqual(['B!', 'D!']);
    expect(trained(format(template, turns({ train: false })))).toEqual(['D!']);
  });
});

describe('content and fields', () => {
  it('parts are handed to templates that read them, and joined for the others', () => {
    const chat = (content: unknown) => ({
      messages: [
        { role: 'user', content },
        { role: 'assistant', content: 'B' },
      ],
    });
    const parts = [
      { type: 'text', text: 'Hello ' },
      { type: 'text', text: 'there' },
    ];
    for (const name of ['qwen3', 'chatml', 'llama3'])
      expect(format(templateNamed(name), chat(parts))).toEqual(format(templateNamed(name), chat('Hello there')));
    expect(whole(format(templateNamed('gemma3'), chat(parts)))).toContain('Hellothere');
  });

  it('fields that no template reads are counted', () => {
    const chat = {
      messages: [
        { role: 'user', content: 'A', id: 7, tool_call_id: 'call_1' },
        { role: 'assistant', content: 'B' },
      ],
    };
    expect(format(templateNamed('qwen3'), chat).notes).toEqual(["have the field 'id', which the model's chat template does not use"]);
  });

  it('whatever their names are', () => {
    const odd: Record<string, unknown> = { role: 'user', content: 'A', '(x': 7, '(a+)+$': 8, constructor: 9 };
    const chat: { messages: Record<string, unknown>[] } = { messages: [odd, { role: 'assistant', content: 'B' }] };
    expect(format(templateNamed('qwen3'), chat).notes).toHaveLength(3);
  });

  const user = { role: 'user', content: 'A' };
  const called = { role: 'assistant', tool_calls: calls({}) };
  const result = { role: 'tool', content: 'B', tool_call_id: 'call00001' };
  const answered = { role: 'assistant', content: 'C' };
  test.each<[Record<string, unknown>, string]>([
    [
      { messages: [user, { role: 'assistant', content: 'B', weight: 1.5 }] },
      'key "messages[1].weight": 1.5, expected a number from 0 to 1',
    ],
    [{ messages: [user, { role: 'assistant', content: 'B', weight: 0.125 }] }, '0.125, expected a number from 0 to 1 in steps of 0.01'],
    [{ messages: [user, { role: 'assistant', tool_calls: [{}] }] }, 'key "messages[1].tool_calls[0].name": nothing, expected the name'],
    [{ messages: [user, { role: 'assistant', tool_calls: calls('{') }] }, 'key "messages[1].tool_calls[0].function.arguments": a string'],
    [{ messages: [{ role: 'user', content: [{ type: 'image' }] }] }, 'key "messages[0].content[0]": a part of type "image"'],
    [{ messages: [user], tools: 'none' }, 'key "tools": a string, expected a list'],
    [{ messages: [user], tools: [1] }, 'key "tools[0]": a number, expected an object'],
    [{ messages: [user], tools: [{ type: 'function' }] }, 'key "tools[0].name": nothing, expected the name of a function'],
    [
      { messages: [user], tools: [{ function: { name: 'f', parameters: 'none' } }] },
      'key "tools[0].function.parameters": a string, expected a JSON schema',
    ],
    [
      { messages: [user, called, user] },
      'key "messages[2]": a turn of the role user, expected the result of the call before it (role tool)',
    ],
    [
      { messages: [user, { ...called, tool_calls: [...calls({}), { ...calls({})[0], id: 'b' }] }, result, answered] },
      'key "messages[3]": a turn of the role assistant, expected the results of all calls before it (role tool)',
    ],
    [
      { messages: [user, called, { ...result, tool_call_id: 'other' }, answered] },
      'key "messages[2].tool_call_id": "other", expected call00001. Name the call',
    ],
  ])('%j is refused', (value, message) => expect(() => format(templateNamed('qwen3'), value)).toThrow(message));
});

describe('every template and conversation', () => {
  const { conversations } = readJson(join(TEMPLATES, '../conversations.json'), z.object({ conversations: z.array(chatForm) }));

  test.each(readdirSync(TEMPLATES).map(file => file.replace('.jinja', '')))(
    '%s: the pieces are the whole text, or a reason is given',
    name => {
      const kept = conversations.filter(chat => {
        try {
          const example = format(templateNamed(name), chat);
          const { messages, tools: given } = chat;
          const shown = renderer(templateNamed(name))?.render({ messages, ...(given && { tools: given }) }, { addGenerationPrompt: false });
          expect(whole(example)).toBe(shown?.text);
          return true;
        } catch (error) {
          expect(error).toMatchObject({ name: 'DataError' });
          return false;
        }
      });
      expect(kept.length).toBeGreaterThan(5);
    },
  );
});

describe('forms that no template reads', () => {
  const called = { role: 'assistant', content: null, function_call: { name: 'find', arguments: '{}' } };

  it("refuses calls and tools in OpenAI's old form, and says what to write", () => {
    const messages = [{ role: 'user', content: 'hi' }, called, { role: 'function', name: 'find', content: 'ok' }];
    expect(() => format(templateNamed('chatml'), { messages })).toThrow(
      /chats\.jsonl:3: key "messages\[1\]\.function_call": a call in OpenAI's old form.*"tool_calls"/,
    );
    const tools = {
      functions: [{ name: 'find' }],
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'ho' },
      ],
    };
    expect(() => format(templateNamed('chatml'), tools)).toThrow(/key "functions": a list of tools in OpenAI's old form.*"tools"/);
    expect(trained(format(templateNamed('chatml'), { ...tools, functions: [] }))).toEqual(['ho<|im_end|>']);
  });

  it('says that a chat begins with an answer if the template writes a system message before it', () => {
    const template = `{% if messages[0]['role'] != 'system' %}<s>You help.{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;
    const turns = { from: 'gpt', value: 'hello' };
    const conversations = [turns, { from: 'human', value: 'hi' }, { from: 'gpt', value: 'yes' }];
    expect(() => format(template, { conversations })).toThrow(/the chat begins with an answer.*Remove this turn/);
  });
});
