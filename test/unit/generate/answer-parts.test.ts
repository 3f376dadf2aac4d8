/** Tests reasoning, answer and tool calls in a model's output, distinguished by the markers of its chat template. */
import { describe, expect, test } from 'vitest';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { reasoningFormOf } from '../../../trainer/data/reasoning/reasoning-form.ts';
import { AnswerParts, answerForms, answerIn } from '../../../trainer/generate/answer-parts.ts';
import { templateNamed } from '../../support/chat-format.ts';

function rendererOf(chatTemplate: string) {
  const renderer = chatRendererOf({ chatTemplate, specialTokens: { bos_token: '<s>', eos_token: '</s>' } });
  if (!renderer) throw new Error('no template');
  return renderer;
}

/** A template with markers around reasoning, which is a field of the message and which the prompt may open. */
const inMarks = (opening: string, closing: string, prompt = ''): string =>
  `{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.reasoning_content %}${opening}{{ m.reasoning_content }}${closing}{% endif %}{{ m.content }}<|im_end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}${prompt}{% endif %}`;

const THINK = { kind: 'tags', opening: '<think>', closing: '</think>' };

test.each<[string, object | undefined]>([
  ['qwen3', THINK],
  ['smollm3', THINK],
  ['deepseek-r1', THINK],
  [
    'gpt-oss',
    {
      kind: 'heads',
      reasoning: '<|channel|>analysis<|message|>',
      answer: '<|channel|>final<|message|>',
      headEnd: '<|message|>',
      between: '<|end|><|start|>assistant',
    },
  ],
  ...['chatml', 'gemma3', 'llama2', 'llama3', 'llama3.0', 'mistral', 'phi4', 'qwen2.5'].map((name): [string, undefined] => [
    name,
    undefined,
  ]),
])('the form of %s', (name, form) => {
  expect(reasoningFormOf(rendererOf(templateNamed(name)))).toEqual(form);
});

test.each([
  ['[THINK]', '[/THINK]', ''],
  ['<thought>{{ "\\n" }}', '{{ "\\n" }}</thought>{{ "\\n\\n" }}', ''],
  ['<think>', '</think>', '<think>'],
])('other marks are read, too: %s', (opening, closing, prompt) => {
  expect(reasoningFormOf(rendererOf(inMarks(opening, closing, prompt)))).toEqual({
    kind: 'tags',
    opening: opening.replace(/\{\{.*?\}\}/, ''),
    closing: closing.replaceAll(/\{\{.*?\}\}/g, ''),
  });
});

/** Gemma 4: reasoning is removed from the text, and a prompt may contain its markers without content. Calls start like them. */
const CHANNELS = `{% for m in messages %}{{ '<|turn>' + m.role + '\\n' }}{% for c in m.tool_calls %}{{ '<|tool_call>call:' + c.function.name + '{' }}{% for key, value in c.function.arguments | dictsort %}{{ '' if loop.first else ',' }}{{ key }}:{% if value is string %}{{ '<|"|>' + value + '<|"|>' }}{% else %}{{ value }}{% endif %}{% endfor %}{{ '}<tool_call|>' }}{% endfor %}{{ m.content }}{{ '<turn|>\\n' }}{% endfor %}{{ tools | tojson if tools }}{% if add_generation_prompt %}{{ '<|turn>assistant\\n<|channel>thought\\n<channel|>' }}{% endif %}`;

test('reasoning of a template that writes none is told apart by the marks that it names', () => {
  expect(reasoningFormOf(rendererOf(CHANNELS))).toEqual({ kind: 'tags', opening: '<|channel>thought', closing: '<channel|>' });
  const prompt = '<|turn>assistant\n<|channel>thought\n<channel|>';
  expect(read(CHANNELS, '<|channel>thought\nIt is 4.\n<channel|>Four.')).toEqual({ reasoning: 'It is 4.', answer: 'Four.', calls: [] });
  expect(read(CHANNELS, 'Four.', { prompt })).toEqual({ reasoning: '', answer: 'Four.', calls: [] });
});

test('the mark of a call that begins like the end of the prompt is read whole', () => {
  const answer = 'Let me see.<|tool_call>call:find_it{text:<|"|>a, b<|"|>}<tool_call|>';
  expect(read(CHANNELS, answer, { tools: TOOLS })).toEqual({ reasoning: '', answer: 'Let me see.', calls: ['find_it'] });
});

const TOOLS = [
  {
    type: 'function',
    function: { name: 'find_it', description: 'Finds.', parameters: { type: 'object', properties: { text: { type: 'string' } } } },
  },
];
const SPECIAL = ['<|start|>', '<|end|>', '<|channel|>', '<|message|>', '<|constrain|>', '<｜Assistant｜>'];

/** Reads the answer character by character; special tokens arrive whole. */
function read(
  template: string,
  answer: string,
  { prompt = '', tools = [], isWhole = true }: { prompt?: string; tools?: readonly unknown[]; isWhole?: boolean } = {},
) {
  const said = { reasoning: '', answer: '' };
  const forms = answerForms(rendererOf(template), { specialTexts: SPECIAL, decode: () => prompt });
  const reading = forms.reading([1], tools);
  const parts = new AnswerParts(reading, (text, part) => {
    said[part] += text;
  });
  const special = SPECIAL.map(text => text.replaceAll(/[|[\]]/g, '\\$&')).join('|');
  for (const piece of answer.match(new RegExp(`${special}|[^]`, 'gu')) ?? []) parts.push(piece);
  const calls = parts.end(isWhole).map(call => call.name);
  // A stream cannot take back reasoning that turns out to be the answer.
  if (said.reasoning === parts.reasoning) expect(said).toEqual({ reasoning: parts.reasoning, answer: parts.answer });
  if (calls.length === 0 && isWhole) expect(answerIn(answer, reading)).toBe(parts.answer);
  return { reasoning: parts.reasoning, answer: parts.answer, calls };
}

const [qwen3, oss, r1] = [templateNamed('qwen3'), templateNamed('gpt-oss'), templateNamed('deepseek-r1')];

describe('tags', () => {
  test.each([
    ['reasoning, then an answer', '<think>\nLet me see.\n\nYes.\n</think>\n\nIt is 4.', 'Let me see.\n\nYes.', 'It is 4.'],
    ['no reasoning', 'It is <b>4</b>. ', '', 'It is <b>4</b>. '],
    ['empty reasoning', '<think>\n\n</think>\n\nIt is 4.', '', 'It is 4.'],
    ['space before the answer', ' \n It is 4.', '', ' \n It is 4.'],
    ['nothing', '', '', ''],
    ['a mark within the answer', 'Write <think> and </think>.', '', 'Write <think> and </think>.'],
    ['the beginning of a mark', '<thin', '', '<thin'],
  ])('%s', (_, text, reasoning, answer) => {
    expect(read(qwen3, text)).toEqual({ reasoning, answer, calls: [] });
  });

  test('reasoning that breaks off has no answer', () => {
    expect(read(qwen3, '<think>\nLet me se', { isWhole: false })).toEqual({ reasoning: 'Let me se', answer: '', calls: [] });
  });

  test('the prompt may have begun the reasoning', () => {
    const prompt = '<｜Assistant｜><think>\n';
    expect(read(r1, 'Let me see.\n</think>\n\nIt is 4.', { prompt })).toEqual({ reasoning: 'Let me see.', answer: 'It is 4.', calls: [] });
    expect(read(r1, 'Let me se', { prompt, isWhole: false })).toMatchObject({ reasoning: 'Let me se', answer: '' });
    // A model that was tuned to answer directly.
    expect(read(r1, 'It is 4.', { prompt })).toMatchObject({ reasoning: '', answer: 'It is 4.' });
  });

  test('a call after the reasoning', () => {
    const answer = '<think>\nI need <tool_call>.\n</think>\n\n<tool_call>\n{"name": "find_it", "arguments": {"text": "x"}}\n</tool_call>';
    expect(read(qwen3, answer, { tools: TOOLS })).toEqual({ reasoning: 'I need <tool_call>.', answer: '', calls: ['find_it'] });
  });
});

describe('heads', () => {
  const message = (channel: string, text: string): string => `<|channel|>${channel}<|message|>${text}`;
  const NEXT = '<|end|><|start|>assistant';
  test.each([
    ['analysis, then the final answer', message('analysis', 'We add.') + NEXT + message('final', 'It is 4. '), 'We add.', 'It is 4. '],
    ['the final answer alone', message('final', 'It is 4.'), '', 'It is 4.'],
    [
      'several messages of analysis, and one to the user before the answer',
      [message('analysis', 'A.'), message('analysis', 'B.'), message('commentary', 'I look.'), message('final', 'Yes.')].join(NEXT),
      'A.\n\nB.',
      'I look.\n\nYes.',
    ],
    ['no head, as of a model that was tuned on plain texts', 'It is 4.', '', 'It is 4.'],
    ['a head that breaks off', '<|channel|>fin', '', 'fin'],
  ])('%s', (_, text, reasoning, answer) => {
    expect(read(oss, text)).toEqual({ reasoning, answer, calls: [] });
  });

  test.each([
    `${message('analysis', 'I look.')}${NEXT} to=functions.find_it<|channel|>commentary json<|message|>{"text": "x"}`,
    `${message('analysis', 'I look.')}${NEXT}<|channel|>commentary to=functions.find_it <|constrain|>json<|message|>{"text": "x"}`,
  ])('a call after the analysis: %s', text => {
    expect(read(oss, text, { tools: TOOLS })).toEqual({ reasoning: 'I look.', answer: '', calls: ['find_it'] });
  });

  test('what the template writes is read back', () => {
    const renderer = rendererOf(oss);
    const asked = [{ role: 'user', content: 'Hi' }];
    const prompt = renderer.render({ messages: asked }, { addGenerationPrompt: true }).text;
    const whole = renderer.render(
      { messages: [...asked, { role: 'assistant', content: 'Hello.', reasoning_content: 'They greet.' }] },
      { addGenerationPrompt: false },
    ).text;
    const written = whole.slice(prompt.length).replace('<|return|>', '');
    expect(read(oss, written)).toEqual({ reasoning: 'They greet.', answer: 'Hello.', calls: [] });
  });
});

test('a model without reasoning is read as text', () => {
  const forms = answerForms(rendererOf(templateNamed('chatml')), { specialTexts: [], decode: () => '' });
  expect(forms.reading([1])).toBeUndefined();
  expect(answerIn('<think>a</think>b', undefined)).toBe('<think>a</think>b');
});
