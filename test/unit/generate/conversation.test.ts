/** Tests conversations as a run was trained to read them: whole, or only the last message in the form of its samples. */
import { beforeAll, expect, test } from 'vitest';
import type { Tokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { encodeConversation } from '../../../trainer/generate/conversation.ts';
import { tinyTokenizers } from '../../support/models/tiny-tokenizers.ts';

let plain: Tokenizer;
let chatting: Tokenizer;
beforeAll(async () => {
  ({ plain, chatting } = await tinyTokenizers(
    '{% if tools %}{{ tools[0].function.name }};{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.tool_calls %}CALL {{ {"name": m.tool_calls[0].function.name, "arguments": m.tool_calls[0].function.arguments} | tojson }}{% endif %};{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}',
  ));
});

const messages = [
  { role: 'system', content: 'Be kind' },
  { role: 'user', content: 'lunch' },
  { role: 'assistant', content: 'yes' },
  { role: 'user', content: 'at 7' },
];
const tools = [{ type: 'function', function: { name: 'find', parameters: {} } }];
const style = { format: 'text_label', template: 'Spam? {text}', labels: [] } as const;
const textOf = (tokenizer: Tokenizer, ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
const read = (tokenizer: Tokenizer, change: object = {}, trained?: Parameters<typeof encodeConversation>[2]): string =>
  textOf(tokenizer, encodeConversation(tokenizer, { messages, ...change }, trained).ids);

test('a chat model reads the whole conversation, as does a run that was trained on chats', () => {
  const whole = 'system: Be kind;user: lunch;assistant: yes;user: at 7;assistant: ';
  expect(read(chatting)).toBe(whole);
  expect(read(chatting, {}, { ...style, format: 'messages' })).toBe(whole);
  expect(read(chatting, {}, { ...style, format: 'alpaca' })).toBe(whole);
});

test('a run that was trained on other texts reads the last message in their words', () => {
  expect(read(chatting, {}, style)).toBe('user: Spam? at 7;assistant: ');
  expect(read(plain, {}, style)).toBe('Spam? at 7');
  expect(read(chatting, {}, { ...style, format: 'prompt_completion' })).toBe('at 7');
  expect(read(plain)).toBe('at 7');
});

test('tools come with the form of their calls, or are refused', () => {
  const found = encodeConversation(chatting, { messages, tools }, undefined);
  expect(found.reading?.calls?.form).toEqual({ kind: 'object', opening: 'CALL', nameKey: 'name', argumentsKey: 'arguments' });
  expect(textOf(chatting, found.ids)).toMatch(/^find;system: Be kind;/);
  expect(() => read(plain, { tools })).toThrow('it cannot be given tools');
  const deaf: Tokenizer = { ...chatting, chatTemplate: '{% for m in messages %}{{ m.content }}{% endfor %}' };
  expect(() => read(deaf, { tools })).toThrow('passes no tools');
  const odd = {
    ...chatting,
    chatTemplate: '{% if tools %}{{ tools[0].function.name }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}',
  };
  expect(() => read(odd, { tools })).toThrow('in a form that is not recognized');
});

test('a conversation without words of the user is refused', () => {
  expect(() => read(chatting, { messages: messages.slice(0, 1) })).toThrow('no message of the user');
});
