/** Tests the conversion of the editor's chat messages to the conversation that a model reads. */
import { expect, test } from 'vitest';
import { conversationOf, countedText } from '../../../client/agent/chat-conversation.ts';

const [USER, ASSISTANT, SYSTEM] = [1, 2, 3];
const text = (value: string) => ({ value });
const auto = { toolMode: 1 };

test('roles, and messages of the user that follow each other', () => {
  const messages = [
    { role: SYSTEM, content: [text('Be kind.')] },
    { role: USER, content: [text('The file'), text(' is a.ts.')] },
    { role: USER, content: ['Explain it.'] },
    { role: ASSISTANT, content: [text('It is short.')] },
    { role: USER, content: [{ mimeType: 'cache_control', data: new Uint8Array() }] },
  ];
  expect(conversationOf(messages, auto)).toEqual({
    messages: [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'The file is a.ts.\n\nExplain it.' },
      { role: 'assistant', content: 'It is short.' },
    ],
  });
});

test('tools, their calls and their results', () => {
  const messages = [
    { role: USER, content: [text('Find it.')] },
    { role: ASSISTANT, content: [{ callId: 'c1', name: 'find', input: { text: 'it' } }] },
    { role: USER, content: [{ callId: 'c1', content: [text('line 3')] }, text('And?')] },
  ];
  const tools = [{ name: 'find', description: 'Finds.', inputSchema: { type: 'object' } }];
  expect(conversationOf(messages, { tools, toolMode: 1 })).toEqual({
    messages: [
      { role: 'user', content: 'Find it.' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'find', arguments: { text: 'it' } } }],
      },
      { role: 'tool', tool_call_id: 'c1', name: 'find', content: 'line 3' },
      { role: 'user', content: 'And?' },
    ],
    tools: [{ type: 'function', function: { name: 'find', description: 'Finds.', parameters: { type: 'object' } } }],
  });
  expect(() => conversationOf(messages, { tools, toolMode: 2 })).toThrow('cannot be made to call a tool');
});

test('an image is refused', () => {
  expect(() => conversationOf([{ role: USER, content: [{ mimeType: 'image/png' }] }], auto)).toThrow('Remove the image');
});

test('tokens are counted in words, calls and results', () => {
  expect(countedText('one')).toBe('one');
  expect(countedText({ role: USER, content: [text('one'), { callId: 'c', content: [text('two')] }] })).toBe('two\none');
  expect(countedText({ role: ASSISTANT, content: [{ callId: 'c', name: 'find', input: {} }] })).toContain('"name":"find"');
});
