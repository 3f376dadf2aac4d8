/** Tests that records judged by their bytes are judged like parsed ones. */
import { describe, expect, it } from 'vitest';
import type { Decider } from '../../../../trainer/data/lazy/decide/decider.ts';
import { recordChecker, sampleDecider } from '../../../../trainer/data/lazy/decide/keeps-target.ts';
import { labeledDecider } from '../../../../trainer/data/lazy/decide/labeled-decider.ts';
import { textBounds } from '../../../../trainer/data/lazy/decide/text-bounds.ts';
import type { LineSettings } from '../../../../trainer/data/lazy/line-record.ts';
import { JsonTape, LIST, OBJECT, TEXT } from '../../../../trainer/data/lazy/plain/json-tape.ts';
import { scanSegment } from '../../../../trainer/data/lazy/scan-segment.ts';
import type { DataFormat } from '../../../../trainer/data/types.ts';
import { elementAt } from '../../../../trainer/narrow.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { CHATML } from '../../../support/models/byte-tokenizer.ts';
import { datasetSettings, writeData } from '../data-files.ts';
import { inputOf, words } from './lazy-files.ts';

const random = createRandom(11);
const oneOf = <T>(all: readonly T[]): T => elementAt(all, random.below(all.length));

/** Returns the value of a tape entry. */
function contentOf(tape: JsonTape, entry: number): unknown {
  const kind = tape.kind(entry);
  if (kind !== OBJECT && kind !== LIST) return tape.scalar(entry);
  const end = tape.behind(entry);
  if (kind === LIST) {
    const list: unknown[] = [];
    for (let at = entry + 1; at < end; at = tape.behind(at)) list.push(contentOf(tape, at));
    return list;
  }
  const object: Record<string, unknown> = {};
  for (let at = entry + 1; at < end; at = tape.behind(at + 1))
    Object.defineProperty(object, tape.text(at), {
      value: contentOf(tape, at + 1),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return object;
}

const PIECES = [
  'a',
  'word',
  ' ',
  'é',
  '漢',
  '🙂',
  '\\n',
  '\\"',
  '\\\\',
  '\\u00e9',
  '\\ud83d',
  '\\/',
  '<think>',
  '\t',
  '\u0000',
  '\u007f',
  '\\x',
  "'",
];
const textOf = (most: number): string =>
  Array.from({ length: random.below(most) }, () => oneOf(PIECES.slice(0, random.below(4) === 0 ? PIECES.length : 10))).join('');
const SCALARS = [
  '0',
  '-0',
  '1',
  '-12.50',
  '1e5',
  '1E-3',
  '01',
  '1.',
  '.5',
  '+1',
  '1e',
  '-',
  'true',
  'false',
  'null',
  'nul',
  'True',
  'NaN',
  '',
  '1e999',
];

function jsonText(depth: number): string {
  const kind = random.below(depth > 3 ? 4 : 8);
  if (kind < 3) return `"${textOf(6)}"`;
  if (kind === 3) return oneOf(SCALARS);
  const space = oneOf(['', '', ' ', '\r', '\t ', '\u00a0']);
  const many = Array.from({ length: random.below(4) }, () => jsonText(depth + 1));
  const end = oneOf(['', '', '', '', ',', ' ']);
  if (kind < 6) return `[${space}${many.join(`,${space}`)}${end}]`;
  return `{${space}${many.map(value => `"${oneOf(['a', 'b', 'c', 'dd', 'é', '__proto__', 'x\\n'])}"${space}:${value}`).join(',')}${end}}`;
}

const parsed = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

describe('a tape', () => {
  it('has the values of JSON.parse, and refuses what it refuses', () => {
    const tape = new JsonTape();
    let [taken, refused] = [0, 0];
    for (let i = 0; i < 20_000; i++) {
      const text = `${oneOf(['', '', '', ' ', '\ufeff'])}${jsonText(0)}${oneOf(['', '', '', ' ', 'x', '}'])}`;
      // The bytes around it belong to other records.
      const before = oneOf(['', '"', 'abc', '{"a":"']);
      const bytes = Buffer.from(`${before}${text}"}`);
      const from = Buffer.byteLength(before);
      if (!tape.read(bytes, from, from + Buffer.byteLength(text))) {
        refused++;
        continue;
      }
      taken++;
      const expected = parsed(text);
      expect(expected !== undefined, text).toBe(true);
      expect(contentOf(tape, 0), text).toEqual(expected?.value);
      if (tape.kind(0) === TEXT) {
        const value = String(expected?.value);
        expect(tape.byteLength(0)).toBe(Buffer.byteLength(value));
        expect(tape.firstByte(0)).toBe(/^[!-[\]-~]/.test(text.trim().slice(1)) && value !== '' ? value.charCodeAt(0) : 0);
      }
    }
    expect(taken).toBeGreaterThan(4000);
    expect(refused).toBeGreaterThan(3000);
  });

  it('reads ordinary records', () => {
    const tape = new JsonTape();
    for (const value of [
      {},
      [],
      'text',
      { instruction: 'Say "a".\n', input: '', output: 'é'.repeat(99), tags: [1, { a: null }], ok: true },
      { messages: [{ role: 'user', content: 'x' }] },
    ]) {
      const bytes = Buffer.from(JSON.stringify(value, null, 1));
      expect(tape.read(bytes, 0, bytes.length)).toBe(true);
      expect(contentOf(tape, 0)).toEqual(value);
    }
  });

  it.each(['{"a": 1, "a": 2}', '{"a": 1 "b": 2}', '"\\u0041"', `${'['.repeat(20)}${']'.repeat(20)}`, '{"a"}', '"a', '{"a": "b"'])(
    'leaves %s to JSON.parse',
    text => {
      const bytes = Buffer.from(text);
      expect(new JsonTape().read(bytes, 0, bytes.length)).toBe(false);
    },
  );
});

it('the bounds on token counts hold for the tokenizer', () => {
  const { tokenizer } = inputOf('', { template: '' });
  const count = (text: string): number => tokenizer.encode(text, { addSpecialTokens: false }).length;
  let [proven, close] = [0, 0];
  for (let i = 0; i < 400; i++) {
    const plain = Array.from({ length: random.below(20) }, () =>
      oneOf(['word', 'the', 'x', 'a', 'worded', 'Word', 'word,', 'averyverylongword']),
    ).join(' ');
    const text = `${words(20)} ${plain}${oneOf(['', '.', ' end', '\n a b c '])}`;
    const tokens = count(text);
    for (const maxLength of [tokens - 1, tokens, tokens + 1, tokens + 40]) {
      const bounds = textBounds(tokenizer, maxLength);
      const leaves = bounds.leavesRoom(text, { tokens: 0, needed: 1 });
      expect(leaves, text).toBe(tokens + 1 <= maxLength);
      const [raw, escaped] = [Buffer.from(text), Buffer.from(JSON.stringify(text))];
      for (const [bytes, place] of [
        [raw, { from: 0, to: raw.length, hasEscapes: false }],
        [escaped, { from: 1, to: escaped.length - 1, hasEscapes: true }],
      ] as const) {
        const excess = bounds.excess(raw.length, { tokens: 0, needed: 1 });
        const shows = excess <= 0 || bounds.savedWithin(bytes, place, excess) >= excess;
        if (shows) expect(leaves, text).toBe(true);
        if (shows && excess > 0) proven++;
      }
      close += Number(!leaves);
    }
  }
  expect(proven).toBeGreaterThan(40);
  expect(close).toBeGreaterThan(400);
});

/** Judges the lines both ways. @returns `byBytes`, the number of lines that were not parsed */
function judged(text: string, settings: LineSettings, decider: Decider) {
  const file = writeData('a.jsonl', text);
  const segment = { file, from: 0, to: Buffer.byteLength(text) };
  const { decide, decidePlain } = decider;
  let byBytes = 0;
  const plain = scanSegment(segment, settings, {
    decide,
    decidePlain: record => {
      const decision = decidePlain?.(record);
      if (decision !== undefined) byBytes++;
      return decision;
    },
  });
  return { plain, byBytes, whole: scanSegment(segment, settings, { decide }) };
}

const ROLES = ['user', 'assistant', 'system', 'human', 'tool', 'function_call', 'nobody'];
const sample = (format: DataFormat): Record<string, unknown> => {
  const text = (): unknown =>
    oneOf<() => unknown>([
      () => words(30),
      () => words(8),
      () => words(60),
      () => textOf(5),
      () => ' x',
      () => '"q"',
      () => `${words(4)}\\n<think>`,
      () => null,
      () => 7,
    ])();
  const usual = (): unknown => (random.below(12) === 0 ? text() : words(oneOf([4, 30, 60])));
  const rare = (key: string, value: () => unknown): object => (random.below(5) === 0 ? { [key]: value() } : {});
  const turn = (i: number): object => ({
    role: random.below(15) === 0 ? oneOf(ROLES) : i % 2 === 0 ? 'user' : 'assistant',
    content: usual(),
    ...(random.below(20) === 0 && { train: true }),
  });
  const label = (): unknown => oneOf(['good', 'bad', 'good', 'bad', 0, 1, 2.5, true, '', ' good', '1', null, -1]);
  switch (format) {
    case 'alpaca':
      return {
        instruction: usual(),
        ...(random.below(3) > 0 && { input: oneOf(['', usual()]) }),
        output: usual(),
        ...rare('system', usual),
        ...rare('tools', () => oneOf([null, [], [{ name: 'f' }]])),
      };
    case 'prompt_completion':
      return { prompt: usual(), completion: usual(), ...rare('other', () => [1, { a: 'b' }]) };
    case 'text_label':
      return { text: usual(), label: label() };
    case 'sharegpt':
      return {
        conversations: Array.from({ length: random.below(5) }, (_, i) => ({
          from: i % 2 === 0 ? 'human' : oneOf(['gpt', 'gpt', 'gpt', 'assistant', 'x']),
          value: usual(),
        })),
        ...rare('system', usual),
      };
    default:
      return { messages: Array.from({ length: random.below(6) }, (_, i) => turn(i)), ...rare('tools', () => oneOf([null, []])) };
  }
};

const FORMATS = ['alpaca', 'prompt_completion', 'text_label', 'messages', 'sharegpt'] as const;
describe.each(['', CHATML])('lines (%#)', template => {
  it.each(FORMATS)('of %s are judged from their bytes as from their values, errors included', format => {
    const { tokenizer, chatRenderer } = inputOf('', { template });
    let [kept, problems, notParsed] = [0, 0, 0];
    for (let round = 0; round < 40; round++) {
      const isNamed = random.below(2) === 0;
      const renames: Readonly<Record<string, string>> = random.below(3) === 0 && format === 'alpaca' ? { output: 'response' } : {};
      const lines = Array.from({ length: 19 }, () => {
        const { output, ...rest } = sample(format);
        const value = 'output' in renames ? { ...rest, response: output } : { ...rest, ...(output !== undefined && { output }) };
        const line = JSON.stringify(random.below(9) === 0 ? Object.fromEntries(Object.entries(value).reverse()) : value);
        return random.below(25) === 0
          ? oneOf([line.slice(0, -1), `${line}x`, '', '  ', '[1]', line.replace('"', '"\\u0061'), line.replaceAll(':', ' : ')])
          : line;
      });
      const first = { file: 'a.jsonl', line: 1, value: format === 'alpaca' ? { instruction: 'a', output: 'b' } : { messages: [] } };
      const formatting = {
        ...datasetSettings,
        format,
        chat: format === 'alpaca' && template !== '' ? oneOf(['auto', false] as const) : 'auto',
        labels: oneOf([[], ['good', 'bad']]),
        shownLabels: ['good', 'bad'],
        contextParts: oneOf([[], [], ['reasoning']] as const),
        completionOnly: random.below(5) > 0,
        trainedTurns: oneOf(['all', 'last'] as const),
      } as const;
      const decider = sampleDecider({ formatting, maxLength: oneOf([60, 150, 512]), truncation: 'turns' }, { tokenizer, chatRenderer });
      const settings = { columns: renames, format, first: isNamed || (format !== 'alpaca' && format !== 'messages') ? undefined : first };
      for (const each of [decider, recordChecker({ formatting, maxLength: 60, truncation: 'turns' })]) {
        const { plain, whole, byBytes } = judged(lines.join(oneOf(['\n', '\r\n'])), settings, each);
        expect(plain).toEqual(whole);
        kept += plain.rows.length / 5;
        problems += plain.problems.length;
        notParsed += byBytes;
      }
    }
    if (format !== 'messages' && format !== 'sharegpt') expect(kept).toBeGreaterThan(100);
    if (template !== '') expect(notParsed).toBeGreaterThan(100);
    expect(problems).toBeGreaterThan(20);
  });
});

it('texts of classifiers are decided about by their bytes as by their values', () => {
  let [kept, problems, notParsed] = [0, 0, 0];
  for (let round = 0; round < 60; round++) {
    const regression = round % 3 === 0;
    const lines = Array.from({ length: 19 }, () =>
      JSON.stringify({
        text: oneOf([words(9), words(9), words(9), '', ' x', 3]),
        text_pair: oneOf([words(3), words(3), '', null]),
        label: regression ? oneOf([1, 0.5, '2', 'x', null]) : oneOf(['good', 'bad', 0, 1, -1, true, '', 2]),
      }),
    );
    const columns = { first: 'text', ...(round % 2 === 0 && { second: 'text_pair' }), label: 'label' };
    const decider = labeledDecider({ columns, regression, labels: oneOf([[], ['good', 'bad']]) });
    const { plain, whole, byBytes } = judged(lines.join('\n'), { columns: {}, format: 'text_label', first: undefined }, decider);
    expect(plain).toEqual(whole);
    kept += plain.rows.length / 5;
    problems += plain.problems.length;
    notParsed += byBytes;
  }
  expect(kept).toBeGreaterThan(100);
  expect(notParsed).toBeGreaterThan(100);
  expect(problems).toBeGreaterThan(50);
});
