/** Tests that JSON lists whose samples are read by position equal those tokenized up front. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listSegments } from '../../../../trainer/data/lazy/list-segments.ts';
import { NoPlacesError } from '../../../../trainer/data/lazy/record-ranges.ts';
import { jsonElements } from '../../../../trainer/data/read/json-elements.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { writeData } from '../data-files.ts';
import { eager, expectAsEager, opened, words } from './lazy-files.ts';

const random = createRandom(23);
const hard = Array.from({ length: 40 }, (_, i) => ({
  text: ['a "quoted" \\', '\\\\"', 'é 漢字 🙂', '{[', ']}', '\n\t', ''][i % 7],
  list: [[i, [{}]], { '}': '"' }],
  ...(i % 3 === 0 && { more: words(random.below(20) + 1) }),
}));
const TEXTS = {
  'on one line': JSON.stringify(hard),
  indented: JSON.stringify(hard, undefined, 2),
  'with a byte-order mark and other line ends': `\ufeff${JSON.stringify(hard, undefined, 1).replaceAll('\n', '\r\n')}\r\n`,
  'with an object a line': `[\n${hard.map(value => JSON.stringify(value)).join(' ,\n')}\n]\n`,
  'of one': '[{}]',
};

describe('the objects of a list', () => {
  it.each(Object.entries(TEXTS))('%s are those that the parser finds', async (_, text) => {
    const file = writeData('a.json', text);
    const bytes = readFileSync(file);
    const expected: unknown[] = [];
    const blocks = (async function* () {
      yield text;
    })();
    for await (const { line, text: own } of jsonElements(blocks)) expected.push([line, own]);
    for (const readBytes of [1, 2, 3, 5, 64, 2 ** 20])
      for (const segmentBytes of [1, 500, 2 ** 20]) {
        const found: unknown[] = [];
        for (const { from, to, ranges } of listSegments(file, segmentBytes, readBytes)) {
          expect(ranges.first).toBe(found.length);
          for (const [i, start] of ranges.starts.entries()) {
            const end = from + start + (ranges.lengths[i] ?? 0);
            expect(end).toBeLessThanOrEqual(to);
            found.push([ranges.lines[i], bytes.toString('utf8', from + start, end)]);
          }
        }
        expect(found).toEqual(expected);
      }
  });

  it.each(['', ' ', '{"data": [{}]}', '{}\n{}', '[1]', '[{}', '[{},]', '[{} {}]', '[{}] {}', '["a"]', '[{"a": "]}'])(
    'are none in %j',
    text => {
      expect(() => [...listSegments(writeData('a.json', text), 100)]).toThrow(NoPlacesError);
    },
  );

  it('may be empty', () => {
    expect([...listSegments(writeData('a.json', '[]'), 100)]).toEqual([]);
  });
});

const samples = Array.from({ length: 90 }, (_, i) => ({ instruction: words(i % 7 === 0 ? 60 : 6), output: words(8), note: hard[i % 40] }));

describe('a list', () => {
  it.each([{}, { maxSamples: 30 }])('has the same samples as if tokenized first (%j)', async settings => {
    for (const text of [JSON.stringify(samples), JSON.stringify(samples, undefined, 2)]) {
      const both = await expectAsEager(writeData('a.json', text), settings);
      for (const { examples } of both) expect(examples.at(1)).toHaveProperty('element');
    }
  });

  it('is checked before training, with the line of what is wrong', async () => {
    const text = JSON.stringify([...samples, { instruction: 'x' }], undefined, 1).replace('"note": ', '"note" ');
    const file = writeData('a.json', text);
    const expected = await eager(file).catch((error: Error) => error.message);
    expect(expected).toContain('a.json:2');
    await expect(opened(file)).rejects.toThrow(String(expected));
  });
});
