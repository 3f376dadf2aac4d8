/** Calls of tools in the form of published chat templates, read off the templates. */
import { expect, test } from 'vitest';
import { chatRendererOf } from '../../../trainer/data/chat-renderer.ts';
import { toolCallForm, toolCallsIn } from '../../../trainer/data/tool-call-form.ts';
import { ToolCallStream } from '../../../trainer/generate/tool-call-stream.ts';
import { templateNamed } from '../../support/chat-format.ts';

const specialTokens = { bos_token: '<s>', eos_token: '</s>' };

function formOf(name: string) {
  const renderer = chatRendererOf({ chatTemplate: templateNamed(name), specialTokens });
  return renderer && toolCallForm(renderer);
}

test.each([
  ['qwen3', { opening: '<tool_call>', nameKey: 'name', argumentsKey: 'arguments' }],
  ['llama3', { opening: '', nameKey: 'name', argumentsKey: 'parameters' }],
  ['mistral', { opening: '[TOOL_CALLS] [', nameKey: 'name', argumentsKey: 'arguments' }],
  // They ignore tools, or write calls in another form.
  ['chatml', undefined],
  ['llama2', undefined],
  ['gemma3', undefined],
])('%s', (name, form) => {
  expect(formOf(name)).toEqual(form);
});

const marked = { opening: '<tool_call>', nameKey: 'name', argumentsKey: 'arguments' };
const CALL = '<tool_call>\n{"name": "find", "arguments": {"text": "a } \\" {", "n": 2}}\n</tool_call>';
const FOUND = { name: 'find', arguments: { text: 'a } " {', n: 2 } };

test('several calls are read in their order, and other objects are none', () => {
  expect(toolCallsIn(`${CALL}\n${CALL} {"name": 3} {"open": `, marked)).toEqual([FOUND, FOUND]);
});

/** The answer, character by character. */
function stream(form: typeof marked, answer: string) {
  const calls = new ToolCallStream(form);
  const said = [...answer].map(character => calls.push(character)).join('');
  const end = calls.end();
  return { said: said + end.text, calls: end.calls };
}

test.each([
  ['text, then a call', marked, `Let me look. ${CALL}`, 'Let me look. ', 1],
  ['text alone', marked, 'a < b, <tool> and {"name": "find"}', 'a < b, <tool> and {"name": "find"}', 0],
  ['a mark without a call', marked, 'I write <tool_call> {', 'I write <tool_call> {', 0],
  ['an answer that is a call', { ...marked, opening: '' }, '{"name": "find", "arguments": {}}', '', 1],
  [
    'JSON inside of a text',
    { ...marked, opening: '' },
    'So: {"name": "find", "arguments": {}}',
    'So: {"name": "find", "arguments": {}}',
    0,
  ],
  ['a list of calls', { ...marked, opening: '[' }, ' [{"name": "find", "arguments": {}}]', '', 1],
  ['a list of other things', { ...marked, opening: '[' }, '[1, 2]', '[1, 2]', 0],
])('%s', (_, form, answer, said, calls) => {
  const found = stream(form, answer);
  expect([found.said, found.calls.length]).toEqual([said, calls]);
});
