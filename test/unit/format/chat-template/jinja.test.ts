/** Compares expressions, statements and chat templates with Python's Jinja as set up by Transformers. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ChatTemplateError, createChatTemplate } from '../../../../trainer/format/chat-template/chat-template.ts';
import { chatWithFloats } from '../../../../trainer/format/chat-template/float-json.ts';
import { resetBudget } from '../../../../trainer/format/chat-template/jinja/budget.ts';
import { contextOf, globalsOf } from '../../../../trainer/format/chat-template/jinja/globals.ts';
import { parseTemplate } from '../../../../trainer/format/chat-template/jinja/parse.ts';
import { renderTemplate } from '../../../../trainer/format/chat-template/jinja/render.ts';
import { formatTime } from '../../../../trainer/format/chat-template/strftime.ts';
import { elementAt } from '../../../../trainer/narrow.ts';
import { messageOf } from '../../../../trainer/protocol/error-facts.ts';
import { readGoldenJson } from '../../../support/files/read-json.ts';
import { chatForm } from '../../../support/golden/golden-chats.ts';
import { goldenPath } from '../../hub/model-bytes.ts';

/** The text and its generated spans; null if Python reports an error. */
const expectedForm = z.tuple([z.string(), z.array(z.tuple([z.number(), z.number()]))]).nullable();
type Expected = z.infer<typeof expectedForm>;

const clock = () => new Date(2024, 6, 4, 15, 5, 9);
const golden = readGoldenJson(
  'jinja/expressions.json',
  z.object({ variables: z.record(z.string(), z.unknown()), cases: z.array(z.tuple([z.string(), expectedForm])) }),
);
/** JSON cannot represent integers beyond 2⁵³ in JavaScript. */
const variables = contextOf({ ...golden.variables, big: 12345678901234567890n, large: 1e22 });
const globals = globalsOf(format => formatTime(clock(), format));

/** Counts a position in characters, as Python does. */
const points = (text: string, at: number): number => Array.from(text.slice(0, at)).length;
const run = (source: string): Expected => {
  resetBudget();
  const { text, generated } = renderTemplate(parseTemplate(source), new Map([...variables, ['large', 1e22]]), globals);
  return [text, generated.map(([from, to]) => [points(text, from), points(text, to)])];
};

test('expressions and statements: the same text, an error where Python has one, or a refusal by name', () => {
  const wrong: unknown[] = [];
  const refused: string[] = [];
  for (const [source, expected] of golden.cases) {
    let actual: Expected;
    try {
      actual = run(source);
    } catch (error) {
      actual = null;
      if (expected !== null && messageOf(error).includes('is not supported')) {
        refused.push(source);
        continue;
      }
      if (expected !== null) {
        wrong.push([source, messageOf(error), expected]);
        continue;
      }
    }
    if (JSON.stringify(actual) !== JSON.stringify(expected)) wrong.push([source, actual, expected]);
  }
  expect(wrong).toEqual([]);
  expect(refused.sort()).toEqual(REFUSED);
});

const chatsForm = z.object({ conversations: z.array(chatForm), results: z.record(z.string(), z.array(expectedForm)) });
const chatsText = readFileSync(goldenPath('jinja/conversations.json'), 'utf8');
const chats = chatsForm.parse(chatWithFloats(chatsText, JSON.parse(chatsText)));

describe('chat templates of the shapes that models have', () => {
  test.each(Object.entries(chats.results))('%s', (name, results) => {
    const source = readFileSync(goldenPath(`jinja/templates/${name}.jinja`), 'utf8');
    const template = createChatTemplate({ template: source, specialTokens: { bos_token: '<s>', eos_token: '</s>' }, now: clock });
    const wrong: unknown[] = [];
    let rendered = 0;
    for (const [i, expected] of results.entries()) {
      const { messages, tools, ...more } = elementAt(chats.conversations, Math.floor(i / 2));
      let actual: Expected = null;
      try {
        const { text, generated } = template.renderMarked(messages, { addGenerationPrompt: i % 2 === 1, tools, variables: more });
        actual = [text, generated.map(([from, to]) => [points(text, from), points(text, to)])];
        rendered++;
      } catch (error) {
        expect(error).toBeInstanceOf(ChatTemplateError);
      }
      if (JSON.stringify(actual) !== JSON.stringify(expected)) wrong.push([i, messages, actual, expected]);
    }
    expect(wrong).toEqual([]);
    expect(rendered).toBeGreaterThan(10);
  });
  test('all twelve templates are compared', () => expect(readdirSync(goldenPath('jinja/templates'))).toHaveLength(12));
});

test('a long run of white space, a number or a format costs no more than its length', () => {
  const long = (text: string): string => run(`{{ (${text})|length }}`)?.[0] ?? '';
  expect(long("('a' ~ ' ' * 10 ** 6 ~ 'x')|trim")).toBe('1000002');
  expect(long("('a' ~ ' ' * 10 ** 6 ~ 'x').split()")).toBe('2');
  expect(run("{{ ('9' * 10 ** 6 ~ 'x')|float }}")?.[0]).toBe('0.0');
  expect(run(`a${' '.repeat(10 ** 6)}x{%- if 1 %}{% endif %}`)?.[0]).toHaveLength(10 ** 6 + 2);
});

test.each([
  ['{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}', 'steps'],
  ["{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", 'at most'],
  ["{{ 'a' * 10 ** 12 }}", 'at most'],
  ['{{ [0] * 10 ** 9 }}', 'at most'],
  ["{{ '%999999999s' % 'a' }}", 'at most'],
  ["{{ 'a'.ljust(10 ** 10) }}", 'at most'],
  ["{{ 'a'|center(10 ** 10) }}", 'at most'],
  ["{{ 'a\n'|indent(10 ** 10) }}", 'at most'],
  ['{{ 9 ** 9999 }}', 'bits'],
  ['{% set ns = namespace(n=10) %}{% for i in range(999) %}{% set ns.n = ns.n * ns.n %}{% endfor %}', 'bits'],
  ['{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'nested'],
  [`{{ ${'('.repeat(5000)}1${')'.repeat(5000)} }}`, 'nested'],
  [`{{ ${'not '.repeat(5000)}1 }}`, 'nested'],
  [`{{ ${'-'.repeat(5000)}1 }}`, 'nested'],
  [`${'{% if 1 %}'.repeat(5000)}${'{% endif %}'.repeat(5000)}`, 'nested'],
  ['{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}', 'refuses'],
  ["{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}", 'refuses'],
  ["{% for i in range(99999) %}{{ 'a' * 9999 == 'b' * 9999 }}{% set x = 'ab'.split('a') * 999 %}{% endfor %}", 'refuses'],
  ["{% set s = 'ab' * 999999 %}{% for i in range(99999) %}{{ s.upper() is upper }}{% endfor %}", 'steps'],
  ['{% set d = dict.fromkeys(range(9999)) %}{% for i in range(99999) %}{% set e = d.copy() %}{% endfor %}', 'steps'],
  ['{% for i in range(99999) %}{% set l = [1]|batch(9999999, 0)|list %}{% endfor %}', 'steps'],
  ["{{ ('%(' * 99999) % {} }}", 'format'],
])('a template that would take too much ends with an error: %s', (template, message) => {
  const refusal = thrown(() =>
    createChatTemplate({ template, specialTokens: {} }).render([{ role: 'user', content: 'x' }], { addGenerationPrompt: false }),
  );
  expect(refusal).toBeInstanceOf(ChatTemplateError);
  expect(messageOf(refusal)).toContain(message);
});

/** Returns the error that a function throws; undefined if it returns. */
function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Features of Jinja that are refused by name. */
const REFUSED: readonly string[] = [
  '{% autoescape true %}{{ html }}{% endautoescape %}',
  '{% block b %}in{% endblock %}',
  '{{ "\\N{BULLET}" }}',
  '{{ "a".encode() }}',
  '{{ "http://a.b"|urlize }}',
  '{{ (-8) ** (1/3) }}',
  '{{ (html|safe) * 2 }}',
  '{{ (html|safe).split(" ")|length }}',
  '{{ (html|safe).strip() is escaped }}',
  '{{ 1000|filesizeformat }}',
  '{{ d|xmlattr }}',
  '{{ f.is_integer() }}',
  '{{ html|e }}',
  '{{ html|escape }}',
  '{{ html|forceescape }}',
  '{{ html|striptags }}',
  '{{ html|urlencode }}',
  '{{ long|wordwrap(15) }}',
  '{{ l|pprint }}',
  '{{ n.bit_length() }}',
  '{{ self }}',
];
