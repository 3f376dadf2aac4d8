/** Tests templates nested as deeply as possible: they give an error with its line, and never overflow the parser's stack. */
import { expect, test } from 'vitest';
import { createChatTemplate } from '../../../trainer/format/chat-template/chat-template.ts';

const make = (template: string) => createChatTemplate({ template, specialTokens: {} });
const render = (template: string): string => make(template).render([], { addGenerationPrompt: false });

test.each([
  ['parentheses', `{{ ${'('.repeat(80_000)}1${')'.repeat(80_000)} }}`],
  ['lists', `{{ ${'['.repeat(80_000)}${']'.repeat(80_000)} }}`],
  ['conditions', `${'{% if a %}'.repeat(20_000)}${'{% endif %}'.repeat(20_000)}`],
  ['loops', `${'{% for a in b %}'.repeat(20_000)}${'{% endfor %}'.repeat(20_000)}`],
  ['negations', `{{ ${'not '.repeat(80_000)} a }}`],
  ['choices', `{{ ${'a if a else '.repeat(20_000)} a }}`],
])('%s', (_, template) => {
  expect(() => make(template)).toThrow('the chat template cannot be parsed: line 1: expressions or blocks are nested more than 100 deep');
});

test('many consecutive blocks and branches are not nested', () => {
  expect(render(`${'{% if true %}({% elif false %}[{% endif %}'.repeat(500)}{{ (1) }}`)).toBe(`${'('.repeat(500)}1`);
  expect(render(`{% if false %}${'{% elif false %}'.repeat(20_000)}{% else %}x{% endif %}`)).toBe('x');
});
