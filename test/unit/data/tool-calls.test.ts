/** Tests tool calls in the forms of chat templates, which are inferred from the templates. */
import { expect, test } from 'vitest';
import { entryOf, namesOf } from '../../../trainer/catalog/entries.ts';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { type ToolCallForm, toolUseOf } from '../../../trainer/data/tool-calls/call-form.ts';
import { toolCallsIn } from '../../../trainer/data/tool-calls/read-calls.ts';
import type { ChatRenderer } from '../../../trainer/data/types.ts';
import { withoutSpecials } from '../../../trainer/generate/answer-parts.ts';
import { ToolCallStream } from '../../../trainer/generate/tool-call-stream.ts';
import { templateNamed } from '../../support/chat-format.ts';

/** The forms in published templates, each in a small template. */
const CALLS = {
  /** A name and each argument in tags, like Qwen3-Coder. */
  tags: `{% for c in m.tool_calls %}{{ '\\n<tool_call>\\n<function=' + c.function.name + '>\\n' }}{% for k, v in c.function.arguments|items %}{{ '<parameter=' + k + '>\\n' }}{{ v if v is string else v|tojson }}{{ '\\n</parameter>\\n' }}{% endfor %}{{ '</function>\\n</tool_call>' }}{% endfor %}`,
  /** Keys and values in tags, like GLM. */
  keys: `{% for c in m.tool_calls %}{{ '\\n<tool_call>' + c.function.name + '\\n' }}{% for k, v in c.function.arguments.items() %}<arg_key>{{ k }}</arg_key>{{ '\\n' }}<arg_value>{{ v|tojson if v is not string else v }}</arg_value>{{ '\\n' }}{% endfor %}</tool_call>{% endfor %}`,
  /** A list of Python calls, like Llama 3.2 and 4. */
  python: `[{% for c in m.tool_calls %}{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ k }}={{ v|tojson }}{% if not loop.last %}, {% endif %}{% endfor %}){% if not loop.last %}, {% endif %}{% endfor %}]`,
  /** Markers around a name, then JSON text, like DeepSeek. */
  marks: `<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name + '<｜tool▁sep｜>' + c.function.arguments }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>`,
  /** The same with a type before the name and a code fence, like DeepSeek's first version. */
  fence: `<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{% if not loop.first %}{{ '\\n' }}{% endif %}<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ c.function.name + '\\n\`\`\`json\\n' + c.function.arguments + '\\n\`\`\`' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>`,
  /** A name between markers, then JSON, like Mistral's newer templates. */
  args: `{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments|tojson }}{% endfor %}`,
  /** Keys without quotes, texts in special markers, and a marker after all calls that starts like theirs, like Gemma 4. */
  braces: `{% for c in m.tool_calls %}<|tool_call>call:{{ c.function.name }}{{ '{' }}{% for k, v in c.function.arguments.items() %}{{ k }}:{% if v is string %}<|"|>{{ v }}<|"|>{% else %}{{ v }}{% endif %}{% if not loop.last %},{% endif %}{% endfor %}{{ '}' }}<tool_call|>{% endfor %}<|tool_response>`,
  /** Words in a prompt. */
  words: `{% for c in m.tool_calls %}{{ '\\nAction: ' + c.function.name + '\\nAction Input: ' }}{{ c.function.arguments|tojson }}{% endfor %}`,
  /** Only values: nothing marks where one ends. */
  bare: `{% for c in m.tool_calls %}{{ 'CALL ' + c.function.name }}{% for k, v in c.function.arguments.items() %} {{ v }}{% endfor %}{% endfor %}`,
} as const;

const inTurns = (calls: string): string =>
  `{% for t in tools or [] %}{{ t|tojson }}{% endfor %}{% for m in messages %}{{ '<|start|>' + m.role + '\\n' }}{% if m.tool_calls %}{{ m.content or '' }}${calls}{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}`;

function rendererOf(chatTemplate: string): ChatRenderer {
  const renderer = chatRendererOf({ chatTemplate, specialTokens: { bos_token: '<s>', eos_token: '</s>' } });
  if (!renderer) throw new Error('no template');
  return renderer;
}

const names = namesOf(CALLS);
const published = ['qwen3', 'llama3', 'mistral', 'gpt-oss'] as const;
const TOOLS = [
  {
    type: 'function',
    function: {
      name: 'find_it',
      description: 'Finds it.',
      parameters: { type: 'object', properties: { text: { type: 'string' }, count: { type: 'integer' }, tags: { type: 'array' } } },
    },
  },
];
const FIRST = { name: 'find_it', arguments: { text: '  a } " {\n<b> = [1], \\ ', count: 12, tags: ['x', 'it\'s "y"'] } };
const SECOND = { name: 'find_it', arguments: { text: '12', count: -1.5, tags: [] } };

/** Returns an answer with calls as the template writes it, without the end of the turn. */
function written(renderer: ChatRenderer, calls: readonly (typeof FIRST)[]): string {
  const asked = [{ role: 'user', content: 'Hi' }];
  const prompt = renderer.render({ messages: asked, tools: TOOLS }, { addGenerationPrompt: true }).text;
  const tool_calls = calls.map((call, i) => ({ id: `call0000${i}`, type: 'function', function: call }));
  const whole = renderer.render(
    { messages: [...asked, { role: 'assistant', content: '', tool_calls }], tools: TOOLS },
    { addGenerationPrompt: false },
  );
  expect(whole.text.startsWith(prompt)).toBe(true);
  return whole.text.slice(prompt.length).replace(/(?:<\|tool_response>)?(?:<\|end\|>|<\/s>|<\|im_end\|>\s*|<\|eot_id\|>|<\|call\|>)$/, '');
}

const SPECIAL = ['<|start|>', '<|end|>', '[TOOL_CALLS]', '[ARGS]', '<|"|>', '<|channel|>', '<|message|>'];

/** Streams the answer piece by piece; special tokens arrive whole. */
function stream(form: ToolCallForm, answer: string) {
  const calls = new ToolCallStream({ form, tools: TOOLS, visible: withoutSpecials(['\n', ...SPECIAL]) });
  const special = SPECIAL.map(text => text.replaceAll(/[|[\]]/g, '\\$&')).join('|');
  const said = (answer.match(new RegExp(`${special}|[^]`, 'gu')) ?? []).map(piece => calls.push(piece)).join('');
  const end = calls.end();
  return { said: said + end.text, calls: end.calls };
}

test.each([...published, ...names.filter(name => name !== 'bare')])('%s: the calls that the template writes are read back', name => {
  const call = entryOf(CALLS, name);
  const renderer = rendererOf(call === undefined ? templateNamed(name) : inTurns(call));
  const { form } = toolUseOf(renderer);
  if (!form) throw new Error('no form');
  expect(stream(form, written(renderer, [FIRST]))).toEqual({
    said: expect.stringMatching(/^\s*(?:<think>\s*<\/think>\s*)?$/),
    calls: [FIRST],
  });
  if (name === 'llama3' || name === 'gpt-oss') return;
  expect(stream(form, written(renderer, [FIRST, SECOND, FIRST])).calls).toEqual([FIRST, SECOND, FIRST]);
});

test.each([
  ['qwen3', { kind: 'object', opening: '<tool_call>', nameKey: 'name', argumentsKey: 'arguments' }],
  ['llama3', { kind: 'object', opening: '', nameKey: 'name', argumentsKey: 'parameters' }],
  ['mistral', { kind: 'object', opening: '[TOOL_CALLS]', nameKey: 'name', argumentsKey: 'arguments' }],
  ['gpt-oss', { kind: 'named', opening: 'to=functions.', nameMark: 'to=functions.' }],
])('%s', (name, form) => {
  expect(toolUseOf(rendererOf(templateNamed(name)))).toMatchObject({ passesTools: true, form });
});

test('a template that ignores tools is told apart from one whose calls cannot be read', () => {
  for (const name of ['chatml', 'llama2', 'gemma3', 'deepseek-r1'])
    expect(toolUseOf(rendererOf(templateNamed(name)))).toEqual({ passesTools: false, form: undefined });
  expect(toolUseOf(rendererOf(inTurns(CALLS.bare)))).toEqual({ passesTools: true, form: undefined });
});

const formOf = (name: keyof typeof CALLS): ToolCallForm => {
  const { form } = toolUseOf(rendererOf(inTurns(CALLS[name])));
  if (!form) throw new Error(`no form of ${name}`);
  return form;
};

test.each([
  ['no arguments', 'tags', '<tool_call>\n<function=find_it>\n</function>\n</tool_call>', {}],
  ['no space', 'tags', '<tool_call><function=find_it><parameter=text>a</parameter></function></tool_call>', { text: 'a' }],
  [
    'the end of a value inside of it',
    'tags',
    '<tool_call><function=find_it><parameter=text>\nx</parameter>y\n</parameter>\n</function>',
    { text: 'x</parameter>y' },
  ],
  ['constants of Python', 'tags', '<tool_call><function=find_it><parameter=count>\nNone\n</parameter>\n</function>', { count: null }],
  [
    'an argument that no schema knows',
    'keys',
    '<tool_call>find_it\n<arg_key>more</arg_key>\n<arg_value>[1]</arg_value>\n</tool_call>',
    { more: [1] },
  ],
  [
    'quotes of Python',
    'python',
    "[find_it(text='it\\'s', tags=('a', {'b': True, }), count=-1e3)]",
    { text: "it's", tags: ['a', { b: true }], count: -1000 },
  ],
  ['a call without arguments', 'python', '[find_it()]', {}],
  ['a word before the object', 'args', '[TOOL_CALLS]find_it[CALL_ID]x7[ARGS]{"count": 1}', { count: 1 }],
] as const)('%s', (_, name, answer, expected) => {
  expect(toolCallsIn(answer, formOf(name), TOOLS)).toEqual([{ name: 'find_it', arguments: expected }]);
});

test('the recipient of a call may come after the name of the channel', () => {
  const { form } = toolUseOf(rendererOf(templateNamed('gpt-oss')));
  if (!form) throw new Error('no form');
  const answer =
    '<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary to=functions.find_it <|constrain|>json<|message|>{"count": 1}';
  expect(toolCallsIn(answer, form, TOOLS)).toEqual([{ name: 'find_it', arguments: { count: 1 } }]);
});

const marked: ToolCallForm = { kind: 'object', opening: '<tool_call>', nameKey: 'name', argumentsKey: 'arguments' };
const CALL = '<tool_call>\n{"name": "find", "arguments": {"text": "a } \\" {", "n": 2}}\n</tool_call>';
const FOUND = { name: 'find', arguments: { text: 'a } " {', n: 2 } };

test('several calls are read in order, and other JSON objects are ignored', () => {
  expect(toolCallsIn(`${CALL}\n${CALL} {"name": 3} {"open": `, marked, [])).toEqual([FOUND, FOUND]);
});

test.each<[string, ToolCallForm, string, string, number]>([
  ['text, then a call', marked, `Let me look. ${CALL}`, 'Let me look. ', 1],
  ['text alone', marked, 'a < b, <tool> and {"name": "find"}', 'a < b, <tool> and {"name": "find"}', 0],
  ['a mark without a call', marked, 'I write <tool_call> {', 'I write <tool_call> {', 0],
  ['special tokens around a text', marked, '<|start|>One<|end|> two<|end|>', 'One two', 0],
  ['an answer that is a call', { ...marked, opening: '' }, '<|start|>{"name": "find", "arguments": {}}', '', 1],
  ['arguments as text', { ...marked, opening: '' }, '{"name": "find", "arguments": "{\\"a\\": 1}"}', '', 1],
  [
    'JSON inside of a text',
    { ...marked, opening: '' },
    'So: {"name": "find", "arguments": {}}',
    'So: {"name": "find", "arguments": {}}',
    0,
  ],
  ['a list of calls', { ...marked, opening: '[' }, ' [{"name": "find", "arguments": {}}]', '', 1],
  ['a list of other things', { ...marked, opening: '[' }, '[1, 2]', '[1, 2]', 0],
  ['calls as in Python', formOf('python'), '[find(n=1), find(n=2)]', '', 2],
  ['a list of words', formOf('python'), '[find, it]', '[find, it]', 0],
  ['a call inside of a text', formOf('python'), 'Use [find(n=1)]', 'Use [find(n=1)]', 0],
  ['a literal that breaks off', formOf('python'), '[find(n=[1, 2', '[find(n=[1, 2', 0],
  [
    'a value that breaks off',
    formOf('tags'),
    '<tool_call>\n<function=find>\n<parameter=text>\na',
    '<tool_call>\n<function=find>\n<parameter=text>\na',
    0,
  ],
])('%s', (_, form, answer, said, calls) => {
  const found = stream(form, answer);
  expect([found.said, found.calls.length]).toEqual([said, calls]);
});
