/** Tests the conversion of the editor's chat messages to the conversation that a model reads. */
import { expect, test } from 'vitest';
import { conversationOf, countedText } from '../../../client/agent/chat-conversation.ts';

const [USER, ASSISTANT, SYSTEM] = [1, 2, 3];
const text = (value: string) => ({ value });
const auto = { toolMode: 1 };
const blind = { readsImages: false };

test('roles, and messages of the user that follow each other', () => {
  const messages = [
    { role: SYSTEM, content: [text('Be kind.')] },
    { role: USER, content: [text('The file'), text(' is a.ts.')] },
    { role: USER, content: ['Explain it.'] },
    { role: ASSISTANT, content: [text('It is short.')] },
    { role: USER, content: [{ mimeType: 'cache_control', data: new Uint8Array() }] },
  ];
  expect(conversationOf(messages, auto, blind)).toEqual({
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
  expect(conversationOf(messages, { tools, toolMode: 1 }, blind)).toEqual({
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
  expect(() => conversationOf(messages, { tools, toolMode: 2 }, blind)).toThrow('cannot be made to call a tool');
});

const image = (size = 3) => ({ mimeType: 'image/png', data: new Uint8Array(size) });

test('images keep their places for a model that reads them', () => {
  const messages = [
    { role: USER, content: [text('Context.')] },
    { role: USER, content: [text('Compare '), image(), text('with'), image()] },
  ];
  const part = { type: 'image', image: 'data:image/png;base64,AAAA' };
  expect(conversationOf(messages, auto, { readsImages: true })).toEqual({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Context.' },
          { type: 'text', text: '\n\n' },
          { type: 'text', text: 'Compare ' },
          part,
          { type: 'text', text: 'with' },
          part,
        ],
      },
    ],
  });
  expect(countedText({ role: USER, content: [text('one'), image()] })).toBe('one');
});

test('an image is refused by a model that reads text only, and too many by any', () => {
  const ask = (count: number, readsImages: boolean) => () =>
    conversationOf([{ role: USER, content: Array.from({ length: count }, () => image()) }], auto, { readsImages });
  expect(ask(1, false)).toThrow('Remove the image');
  expect(ask(17, true)).toThrow('at most 16 images');
});

test('tokens are counted in words, calls and results', () => {
  expect(countedText('one')).toBe('one');
  expect(countedText({ role: USER, content: [text('one'), { callId: 'c', content: [text('two')] }] })).toBe('two\none');
  expect(countedText({ role: ASSISTANT, content: [{ callId: 'c', name: 'find', input: {} }] })).toContain('"name":"find"');
});
