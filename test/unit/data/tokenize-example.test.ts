/** Tokens and targets: prompts encoded separately, special tokens as the tokenizer writes them, and truncation that spares the answer. */
import { describe, expect, it } from 'vitest';
import { createEncoder } from '../../../trainer/data/example/encoder.ts';
import type { TokenizeSettings } from '../../../trainer/data/example/tokenize-example.ts';
import { tokenizeExample } from '../../../trainer/data/example/tokenize-example.ts';
import type { FormattedExample, TextTokenizer } from '../../../trainer/data/types.ts';
import { characterTokenizer } from './character-tokenizer.ts';

const tokenizer = characterTokenizer();
const place = { file: 'a.jsonl', line: 3 };
const example = (prompt: string, text: string, after: string, completion: string, chat = false): FormattedExample => ({
  chat,
  pieces: [
    { text: prompt, train: false },
    { text, train: false, shrink: true },
    { text: after, train: false },
    { text: completion, train: true },
  ].filter(piece => piece.text !== ''),
});

function tokenize(formatted: FormattedExample, settings: Partial<TokenizeSettings> = {}) {
  const encoder = createEncoder(tokenizer);
  const result = tokenizeExample(
    formatted,
    { encoder, maxLength: 1000, truncation: 'end', eosId: tokenizer.eosIds[0], ...settings },
    place,
  );
  if (result.kind === 'dropped') return result.reason;
  const { ids, train } = result.sequence;
  const text = Array.from(ids, (id, i) => (train[i] ? `[${show(id)}]` : show(id))).join('');
  return `${text.replaceAll('][', '')}${result.truncated ? ' cut' : ''}`;
}
const show = (id: number) => tokenizer.decode([id], { skipSpecialTokens: false });

describe('tokenizeExample', () => {
  it('starts like the tokenizer, and ends plain text with EOS', () => {
    expect(tokenize(example('', 'Hi', ':', ' yo'))).toBe('<bos>Hi:[ yo<eos>]');
    expect(tokenize({ chat: false, pieces: [{ text: 'abc', train: true }] })).toBe('<bos>[abc<eos>]');
  });

  it('leaves special tokens to the chat template, and drops tokens after the last target', () => {
    const formatted = example('<turn>user:', 'Hi', '<eos>\n<turn>assistant:', 'yo<eos>', true);
    expect(tokenize({ ...formatted, pieces: [...formatted.pieces, { text: '\n', train: false }] })).toBe(
      '<turn>user:Hi<eos>\n<turn>assistant:[yo<eos>]',
    );
  });

  it('never has a target at the first token', () => {
    expect(tokenize({ chat: true, pieces: [{ text: 'abc', train: true }] })).toBe('a[bc]');
  });

  it('ends a chat after the last answer that fits, and never in a call', () => {
    const chat = (isCall: boolean): FormattedExample => ({
      chat: true,
      pieces: [
        { text: 'u:', train: false },
        { text: 'abc;', train: true, isCall },
        { text: 'u:', train: false },
        { text: 'defg;', train: true },
      ],
    });
    expect(tokenize(chat(true), { truncation: 'turns' })).toBe('u:[abc;]u:[defg;]');
    for (const maxLength of [12, 9, 6]) expect(tokenize(chat(true), { maxLength, truncation: 'turns' })).toBe('u:[abc;] cut');
    expect(tokenize(chat(true), { maxLength: 5, truncation: 'turns' })).toBe('cut_off');
    expect(tokenize(chat(false), { maxLength: 5, truncation: 'turns' })).toBe('u:[abc] cut');
    expect(tokenize(chat(true), { maxLength: 10, truncation: 'end' })).toBe('u:[abc;]u:[de] cut');
    expect(tokenize(example('T:', 'abcdefghij', ' L:', ' x'), { maxLength: 13, truncation: 'turns' })).toBe('<bos>T:abcd L:[ x<eos>] cut');
  });

  it('ends a chat of which every token is trained after the last answer that fits, and drops one that would end in a call', () => {
    const chat = (isCall: boolean) => ({
      chat: true,
      pieces: [
        { text: 'u:', train: true },
        { text: 'abc;', train: true, isAnswer: true, isCall },
        { text: 'u:', train: true },
        { text: 'defg;', train: true, isAnswer: true },
        { text: '~', train: true },
      ],
    });
    expect(tokenize(chat(true), { truncation: 'turns' })).toBe('u[:abc;u:defg;~]');
    expect(tokenize(chat(true), { maxLength: 13, truncation: 'turns' })).toBe('u[:abc;u:defg;] cut');
    for (const maxLength of [12, 9, 6]) expect(tokenize(chat(true), { maxLength, truncation: 'turns' })).toBe('u[:abc;] cut');
    expect(tokenize(chat(true), { maxLength: 5, truncation: 'turns' })).toBe('cut_off');
    expect(tokenize(chat(false), { maxLength: 5, truncation: 'turns' })).toBe('u[:abc] cut');
    expect(tokenize(chat(true), { maxLength: 10, truncation: 'end' })).toBe('u[:abc;u:de] cut');
  });

  it('cuts the flexible text at its end or in the middle', () => {
    const formatted = example('T:', 'abcdefghij', ' L:', ' x');
    expect(tokenize(formatted, { maxLength: 13 })).toBe('<bos>T:abcd L:[ x<eos>] cut');
    expect(tokenize(formatted, { maxLength: 13, truncation: 'middle' })).toBe('<bos>T:abij L:[ x<eos>] cut');
    expect(tokenize(formatted, { maxLength: 19 })).toBe('<bos>T:abcdefghij L:[ x<eos>]');
    const long = example('T:', 'ab'.repeat(50_000), ' L:', ' x');
    expect(tokenize(long, { maxLength: 13 })).toBe('<bos>T:abab L:[ x<eos>] cut');
    expect(tokenize(long, { maxLength: 13, truncation: 'middle' })).toBe('<bos>T:abab L:[ x<eos>] cut');
  });

  it('ends a cut text with EOS where its prompt is trained too', () => {
    const { pieces } = example('T:', 'abcdefghij', ' L:', ' x');
    const formatted = { chat: false, pieces: pieces.map(piece => ({ ...piece, train: true })) };
    expect(tokenize(formatted, { maxLength: 19 })).toBe('<bos>[T:abcdefghij L: x<eos>]');
    expect(tokenize(formatted, { maxLength: 13 })).toBe('<bos>[T:abcd L: x<eos>] cut');
    expect(tokenize(formatted, { maxLength: 13, truncation: 'middle' })).toBe('<bos>[T:abij L: x<eos>] cut');
    expect(tokenize({ ...formatted, chat: true }, { maxLength: 11 })).toBe('T[:abcd L: x] cut');
  });

  it('keeps every length to the limit, whatever the limit', () => {
    const formatted = example('T:', 'abcdefghij', ' L:', ' x');
    for (let maxLength = 9; maxLength < 25; maxLength++) {
      for (const truncation of ['end', 'middle'] as const) {
        const result = tokenizeExample(formatted, { encoder: createEncoder(tokenizer), maxLength, truncation, eosId: 1 }, place);
        if (result.kind === 'dropped') throw new Error(result.reason);
        expect(result.sequence.ids.length).toBe(Math.min(maxLength, 19));
        expect(result.sequence.train.reduce((sum, flag) => sum + flag, 0)).toBe(3);
      }
    }
  });

  it('drops samples without targets, and refuses to cut if truncation is off', () => {
    expect(tokenize({ chat: true, pieces: [{ text: 'a', train: false }] })).toBe('no_target');
    expect(
      tokenize(
        {
          chat: true,
          pieces: [
            { text: 'a'.repeat(9), train: false },
            { text: 'b', train: true },
          ],
        },
        { maxLength: 9 },
      ),
    ).toBe('cut_off');
    expect(() => tokenize(example('T:', 'abcdefghij', ' L:', ' x'), { maxLength: 13, truncation: 'error' })).toThrow(
      'a.jsonl:3: the sample is 19 tokens long, expected at most 13',
    );
  });
});

describe('createEncoder', () => {
  /** A tokenizer like SentencePiece: a space (▁) before the text, and EOS at its end. */
  const spacing: TextTokenizer = {
    ...tokenizer,
    encode: (text, { addSpecialTokens }) => [...tokenizer.encode(`▁${text}`, { addSpecialTokens }), ...(addSpecialTokens ? [1] : [])],
    decode: (ids, options) => tokenizer.decode(ids, options).replaceAll('▁', ' ').trimStart(),
  };

  it('removes the prefix space and the closing EOS from text that continues', () => {
    const encoder = createEncoder(spacing);
    expect(tokenizer.decode(encoder.start('ab'), { skipSpecialTokens: false })).toBe('<bos>▁ab');
    expect(tokenizer.decode(encoder.next('cd'), { skipSpecialTokens: false })).toBe('cd');
  });

  it('gives the same ids for a text encoded in blocks', () => {
    const text = 'Some line of text\n'.repeat(20_000) + 'x'.repeat(200_000);
    for (const used of [tokenizer, spacing]) {
      const ids = createEncoder(used).startPlain(text);
      expect(ids).toEqual(used.encode(text, { addSpecialTokens: false }));
    }
  });

  it('returns a new list each time', () => {
    const encoder = createEncoder(tokenizer);
    encoder.next('ab').push(1);
    expect(encoder.next('ab')).toHaveLength(2);
  });
});
