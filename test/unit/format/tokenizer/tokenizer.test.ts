/** Tests tokenizer files and chat templates: ids, special tokens, streaming, masks. */
import { describe, expect, test } from 'vitest';
import { ChatTemplateError, chatTemplateOf, createChatTemplate } from '../../../../trainer/format/chat-template/chat-template.ts';
import { formatTime } from '../../../../trainer/format/chat-template/strftime.ts';
import { decodeStream } from '../../../../trainer/format/tokenizer/token-stream.ts';
import { createTokenizer } from '../../../../trainer/format/tokenizer/tokenizer.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { goldenPath, modelFileError } from '../../hub/model-bytes.ts';

const definition = {
  added_tokens: [
    { id: 0, content: '[UNK]', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    { id: 1, content: '[CLS]', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    { id: 5, content: '<think>', special: false, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ],
  pre_tokenizer: { type: 'BertPreTokenizer' },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '[CLS]': { id: '[CLS]', ids: [1], tokens: ['[CLS]'] } },
  },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[UNK]': 0, '[CLS]': 1, river: 2, '##s': 3, sea: 4 },
  },
};
const filesOf = (more: Record<string, unknown> = {}): Map<string, string> =>
  new Map(
    Object.entries({ 'tokenizer.json': definition, ...more }).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
const make = (more: Record<string, unknown> = {}, generationConfig: Record<string, unknown> = {}) =>
  createTokenizer({ source: 'm', files: filesOf(more), generationConfig });

test('WordPiece with special tokens on and off', () => {
  const tokenizer = make();
  expect(tokenizer.encode('rivers sea x', { addSpecialTokens: true })).toEqual([1, 2, 3, 4, 0]);
  expect(tokenizer.encode('rivers', { addSpecialTokens: false })).toEqual([2, 3]);
  expect(tokenizer.encode('', { addSpecialTokens: false })).toEqual([]);
  expect(tokenizer.decode([1, 2, 3, 5], { skipSpecialTokens: true })).toBe('rivers <think>');
  expect(tokenizer.decode([], { skipSpecialTokens: true })).toBe('');
  expect(tokenizer.decode([999], { skipSpecialTokens: true })).toBe('');
  expect(tokenizer.vocabularySize).toBe(6);
});

test('end tokens come from the tokenizer and from generation_config.json, special tokens as text or as objects', () => {
  const config = { eos_token: { content: 'sea' }, bos_token: '[CLS]', pad_token: null };
  const tokenizer = make({ 'tokenizer_config.json': config }, { eos_token_id: [2, 4, 'x', -1] });
  expect(tokenizer).toMatchObject({ bosId: 1, eosIds: [4, 2], padId: undefined, specialTokens: { eos_token: 'sea', bos_token: '[CLS]' } });
  expect(make({}, { eos_token_id: 3 }).eosIds).toEqual([3]);
});

test('the chat template is the jinja file, else the one named default', () => {
  const list = {
    chat_template: [
      { name: 'tool_use', template: 'T' },
      { name: 'default', template: 'D' },
    ],
  };
  expect(make({ 'tokenizer_config.json': list }).chatTemplate).toBe('D');
  expect(make({ 'tokenizer_config.json': list, 'chat_template.jinja': 'J' }).chatTemplate).toBe('J');
  expect(make().chatTemplate).toBeUndefined();
  expect(() => chatTemplateOf(make())).toThrow(ChatTemplateError);
});

test.each<[string, Record<string, unknown>, string]>([
  ['damaged JSON', { 'tokenizer.json': '{' }, 'not valid JSON'],
  ['no vocabulary', { 'tokenizer.json': { model: {} } }, 'no model.vocab'],
  ['an id that would fill memory', { 'tokenizer.json': { model: { vocab: { a: 1e15 } } } }, 'vocabulary id outside'],
  ['an unknown component', { 'tokenizer.json': { ...definition, pre_tokenizer: { type: 'Magic' } } }, 'cannot be used'],
])('refuses %s', async (_, files, message) => {
  expect((await modelFileError(async () => make(files))).message).toContain(message);
});

test('a stream never shows half a character', () => {
  const bytes = Buffer.from('é😀!');
  const stream = decodeStream(ids => Buffer.from(ids).toString('utf8'));
  expect([...bytes].map(byte => stream.push(byte))).toEqual(['', 'é', '', '', '', '😀', '!']);
  expect(stream.push(0xf0)).toBe('');
  expect(stream.end()).toBe('\ufffd');
  expect(stream.end()).toBe('');
});

describe('chat template', () => {
  const chatml =
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
  const create = (template: string) =>
    createChatTemplate({ template, specialTokens: { bos_token: '<s>' }, now: () => new Date(2024, 6, 4, 15, 5, 9) });
  const user = { role: 'user', content: 'Q' };
  const assistant = { role: 'assistant', content: 'A' };

  test('renders, with and without the prompt of the next turn', () => {
    const template = create(chatml);
    expect(template.render([user], { addGenerationPrompt: true })).toBe('<s><|user|>Q<|end|>\n<|assistant|>');
    expect(template.render([user, assistant], { addGenerationPrompt: false })).toBe('<s><|user|>Q<|end|>\n<|assistant|>A<|end|>\n');
  });

  test('raise_exception, broken syntax and the date', () => {
    expect(() => create("{{ raise_exception('roles must alternate') }}").render([user, user], { addGenerationPrompt: false })).toThrow(
      'refuses these 2 messages (user, user): roles must alternate',
    );
    expect(() => create('{% for %}')).toThrow('cannot be parsed');
    expect(create("{{ strftime_now('%d %b %Y') }}").render([user], { addGenerationPrompt: false })).toBe('04 Jul 2024');
  });

  test('range', () => {
    const text = '{% for i in range(3) %}{{ i }}{% endfor %},{% for i in range(messages|length, -1, -1) %}{{ i }}{% endfor %}';
    expect(create(text).render([user, user], { addGenerationPrompt: false })).toBe('012,210');
    expect(() => create('{{ range(1000000000)|length }}').render([user], { addGenerationPrompt: false })).toThrow('longer than');
  });

  test('of a GGUF file', async () => {
    const model = await openModel(goldenPath('gguf/tiny-llama.gguf'));
    const tokenizer = await model.loadTokenizer();
    await model.weights.close();
    expect(chatTemplateOf(tokenizer).render([user, assistant], { addGenerationPrompt: false })).toMatch(/A<\|im_end\|>\n$/);
  });
});

test('strftime', () => {
  const date = new Date(2024, 1, 3, 0, 7, 9);
  expect(formatTime(date, '%A %a %B %b %d %-d %e %m %Y %y %H %I %M %S %p %j %F %T %% %Q')).toBe(
    'Saturday Sat February Feb 03 3  3 02 2024 24 00 12 07 09 AM 034 2024-02-03 00:07:09 % %Q',
  );
});
