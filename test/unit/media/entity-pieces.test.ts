/** Tests splitting a text with entities into pieces for the Try page. */
import { expect, test } from 'vitest';
import { ENTITY_COLORS, entityPieces } from '../../../media/try/entity-pieces.ts';

const entity = (type: string, start: number, end: number) => ({ type, start, end, score: 0.9 });
const shown = (text: string, entities: readonly ReturnType<typeof entity>[]) =>
  entityPieces(text, entities).map(piece => (piece.entity ? [piece.text, piece.entity.type, piece.color] : piece.text));

test('pieces are the whole text in its order, with a color for each type', () => {
  expect(shown('Ann met Bo in Bonn', [entity('PER', 8, 10), entity('LOC', 14, 18), entity('PER', 0, 3)])).toEqual([
    ['Ann', 'PER', 'orange'],
    ' met ',
    ['Bo', 'PER', 'orange'],
    ' in ',
    ['Bonn', 'LOC', 'blue'],
  ]);
  expect(shown('plain', [])).toEqual(['plain']);
});

test('overlaps and places outside of the text are left out', () => {
  expect(shown('abc', [entity('X', 0, 2), entity('Y', 1, 3), entity('Z', 2, 9), entity('W', 2, 2)])).toEqual([['ab', 'X', 'orange'], 'c']);
});

test('colors repeat after the last one', () => {
  const types = Array.from({ length: ENTITY_COLORS.length + 1 }, (_, i) => entity(`T${i}`, i, i + 1));
  expect(entityPieces('abcdefg', types).map(({ color }) => color)).toEqual([...ENTITY_COLORS, 'blue']);
});
