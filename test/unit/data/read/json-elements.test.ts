/** Tests that the elements of a JSON list are the same wherever the blocks of text end. */
import { expect, test } from 'vitest';
import { holdsSeveralValues, type JsonElement, jsonElements } from '../../../../trainer/data/read/json-elements.ts';

async function* inBlocks(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

async function elementsOf(text: string, size: number): Promise<JsonElement[]> {
  const found: JsonElement[] = [];
  for await (const element of jsonElements(inBlocks(text, size))) found.push(element);
  return found;
}

const VALUES = [
  { text: 'a "quoted" \\ [{,}]', n: [1, [2, { x: '}' }]] },
  { text: '\\' },
  { text: 'line\nbreak', empty: {} },
  'text',
  12.5,
  null,
  [],
];

test('every size of block gives the values of JSON.parse, with the line of each', async () => {
  for (const text of [JSON.stringify(VALUES), JSON.stringify(VALUES, null, 2), JSON.stringify({ before: { data: [0] }, data: VALUES })]) {
    const lines = (await elementsOf(text, text.length)).map(({ line }) => line);
    for (let size = 1; size < 40; size++) {
      const found = await elementsOf(text, size);
      expect(found.map(element => JSON.parse(element.text))).toEqual(VALUES);
      expect(found.map(({ line }) => line)).toEqual(lines);
    }
  }
  const [, second] = await elementsOf('[\n{"a":\n1},\n\n {"b": 2}]', 3);
  expect(second?.line).toBe(5);
});

test.each(['[{"a": 1} {"b": 2}]', '[{"a": 1},]', '[{"a": 1}', '[{"a": "1}]', '[{"a": 1}, ', '[,]', '[}', '["\\'])(
  '%s has a piece that JSON.parse refuses',
  async text => {
    for (const size of [1, 2, 3, 100]) {
      const found = await elementsOf(text, size);
      expect(() => found.map(element => JSON.parse(element.text))).toThrow(SyntaxError);
    }
  },
);

test('several values in a row are not taken for one', async () => {
  for (const size of [1, 3, 100]) {
    expect(await holdsSeveralValues(inBlocks('{"data": [{}]}\n', size))).toBe(false);
    expect(await holdsSeveralValues(inBlocks('{"data": [{}]}\n{"data": 1}\n', size))).toBe(true);
    expect(await holdsSeveralValues(inBlocks('[1]', size))).toBe(false);
  }
});

test('a value that is no list is refused', async () => {
  for (const text of ['', '1', '{"rows": [1]}', '{"data": 1}', '{data: []}', '{"a": 1 "data": []}'])
    await expect(elementsOf(text, 2)).rejects.toThrow('no list of elements');
});
