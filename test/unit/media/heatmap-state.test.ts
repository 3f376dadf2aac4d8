/** Tests the heatmap's state without a page: events change it, and the toolbar's lists, the cursor and the open cell follow from it. */
import { describe, expect, test } from 'vitest';
import { cellContent, neuronFacts, neuronSentence } from '../../../media/heatmap/cell/cell-content.ts';
import { budgetNote, sliderOf } from '../../../media/heatmap/controls/budget-words.ts';
import { classOptions, comparisonOptions, entryOf, NONE, scoreEntries } from '../../../media/heatmap/controls/source-options.ts';
import { cellCsv } from '../../../media/heatmap/export-files.ts';
import { deriveGrid } from '../../../media/heatmap/grid/grid.ts';
import { type CursorKey, moduleAt, movedCursor } from '../../../media/heatmap/grid/grid-cursor.ts';
import { type PageEvent, type PageState, sentenceAfter, startPage, updatePage, wantedSets } from '../../../media/heatmap/page-state.ts';
import { makePicture } from '../../../media/heatmap/picture.ts';
import { createScoreStore } from '../../../media/heatmap/score-store.ts';
import { startBudget, startState } from '../../../media/heatmap/view-state.ts';
import type { HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';
import { heatmapSource as source } from '../../support/pages/heatmap-source.ts';

const sourcesEvent = (...sources: HeatmapSourceInfo[]): PageEvent => ({
  type: 'sources',
  sources,
  candidates: [{ path: '/near', label: 'near' }],
  colorMap: 'magma',
});
const stateAfter = (...events: PageEvent[]): PageState => events.reduce(updatePage, startPage(startState));

describe('the state of the page', () => {
  test('the first source is shown, and one that the user adds is compared as soon as it arrives', () => {
    const begun = stateAfter(sourcesEvent(source('/a')), { type: 'add', source: { path: '/b', label: 'b' } });
    expect(begun.choices).toMatchObject({ a: { path: '/a', key: '' }, b: undefined });
    const sets = [
      { key: 'w', measure: 'wanda' },
      { key: 't', measure: 'taylor' },
    ];
    const arrived = updatePage(begun, sourcesEvent(source('/a'), source('/b', { sets })));
    // The visible measure, although it is not the first.
    expect(arrived.choices).toMatchObject({ b: { path: '/b', key: 't' }, view: 'difference' });
    expect(arrived.added).toBeUndefined();
    expect(wantedSets(arrived.choices)).toEqual([
      { path: '/a', key: '' },
      { path: '/b', key: 't' },
    ]);
  });

  test('a source without scores is compared by its rows', () => {
    const state = stateAfter(sourcesEvent(source('/a')), { type: 'add', source: { path: '/b', label: 'b' } });
    expect(updatePage(state, sourcesEvent(source('/a'), source('/b', { sets: [] }))).choices.view).toBe('overlap');
  });

  test('a source that changes replaces itself; one that is unknown changes nothing', () => {
    const state = stateAfter(sourcesEvent(source('/a', { isPartial: true })));
    expect(updatePage(state, { type: 'source', source: source('/z') })).toBe(state);
    const event: PageEvent = { type: 'source', source: source('/a') };
    expect(updatePage(state, event).sources.map(({ isPartial }) => isPartial)).toEqual([false]);
    expect(sentenceAfter(event, state)).toBe('The scores of a are complete');
    expect(sentenceAfter(event, updatePage(state, event))).toBeUndefined();
  });

  test('a comparison with a source that was removed ends', () => {
    const state = stateAfter(sourcesEvent(source('/a'), source('/b')), {
      type: 'choose',
      change: { b: { path: '/b', key: '' }, view: 'difference' },
    });
    expect(sentenceAfter({ type: 'remove', path: '/b' }, state)).toBe('b was removed');
    expect(updatePage(state, sourcesEvent(source('/a'))).choices).toMatchObject({ b: undefined, view: 'importance' });
  });

  test('the progress of each job and then the saved file are on one line', () => {
    const progress = { done: 3, total: 8, unit: 'batches', secondsLeft: 20 };
    const state = stateAfter(
      { type: 'progress', path: '/a', progress, message: 'scoring rows' },
      { type: 'progress', path: '/b', message: 'loading' },
    );
    expect(state.status).toBe('scoring rows: 3 of 8 batches, 20 s left · loading');
    expect(updatePage(state, { type: 'saved', path: '/x.png' }).status).toBe('Saved /x.png');
  });

  test('a set is requested once, also if it is compared with itself', () => {
    const ref = { path: '/a', key: '' };
    expect(wantedSets({ ...startState, a: ref, b: ref })).toEqual([ref]);
    expect(wantedSets(startState)).toEqual([]);
  });
});

describe('the lists of the toolbar', () => {
  const byClass = [
    { key: 'ham', measure: 'qm_taylor', className: 'ham' },
    { key: '', measure: 'qm_taylor' },
    { key: 'w', measure: 'wanda' },
  ];
  const sources = [source('/a', { sets: byClass }), source('/b', { sets: [] })];

  test('one entry for each measure, which begins with the set over all classes', () => {
    expect(scoreEntries(sources).map(({ label, group, ref }) => [label, group, ref.key])).toEqual([
      ['a · QMTaylor (class quantiles)', 'a', ''],
      ['a · Wanda', 'a', 'w'],
      ['b', undefined, ''],
    ]);
    expect(entryOf(sources, { path: '/a', key: 'ham' })).toBe(scoreEntries(sources)[0]?.value);
    expect(entryOf(sources, undefined)).toBe(NONE);
  });

  test('classes are offered if there are several', () => {
    expect(classOptions(sources[0], { path: '/a', key: '' }).map(({ label }) => label)).toEqual(['ham', 'all']);
    expect(classOptions(sources[0], { path: '/a', key: 'w' })).toEqual([]);
  });

  test('a comparison is with nothing, with what is open, or with what is near', () => {
    const options = comparisonOptions(scoreEntries(sources), [{ path: '/near', label: 'near' }]);
    expect(options.map(({ group }) => group)).toEqual([undefined, 'a', 'a', 'Open', 'Open and compare']);
  });
});

describe('the budget', () => {
  test('the slider has the unit of the budget', () => {
    expect(sliderOf({ ...startBudget, r: 8 }, 64)).toEqual({ value: 8, range: { least: 1, most: 64, isWhole: true }, text: '8' });
    expect(sliderOf({ ...startBudget, kind: 'ratio', ratio: 0.05 }, 64)).toMatchObject({ value: 0.05, text: '5%' });
  });

  test('across layers it says what it is worth and how rows are ranked', () => {
    expect(budgetNote({ ...startBudget, r: 8, mode: 'global' }, 'rows')).toMatch(
      /^As many parameters as 8 rows of each layer, .*divided by the mean/,
    );
    expect(budgetNote({ ...startBudget, kind: 'ratio', ratio: 0.05, mode: 'global' }, 'columns')).toMatch(
      /as 5% of each layer, .* highest columns .* A column is .* its best column\.$/,
    );
    expect(budgetNote(startBudget, 'rows')).toBe('');
    expect(budgetNote({ ...startBudget, kind: 'trained', mode: 'global' }, 'rows')).toBe('');
  });
});

describe('the cursor of the map', () => {
  // Rows: an embedding with one cell, two blocks of three, a head with one cell.
  const tails = ['q', 'k', 'v'];
  const names = ['embed', ...[0, 1].flatMap(i => tails.map(tail => `m.layers.${i}.${tail}_proj`)), 'lm_head'];
  const grid = deriveGrid(names);
  const walk = (...keys: CursorKey[]) => keys.reduce((cursor, key) => movedCursor(grid, cursor, key, 2), { row: 1, column: 2 });

  test.each<[string, CursorKey[], { row: number; column: number }]>([
    ['to the next cell', ['ArrowLeft'], { row: 1, column: 1 }],
    ['not beyond the last one', ['ArrowRight'], { row: 1, column: 2 }],
    ['up to the only cell of a short row', ['ArrowUp'], { row: 0, column: 0 }],
    ['along a row that has holes', ['ArrowUp', 'ArrowRight'], { row: 0, column: 0 }],
    ['to the ends of a row', ['Home'], { row: 1, column: 0 }],
    ['by a page, within the rows, to a cell with a module', ['PageDown', 'PageDown'], { row: 3, column: 0 }],
    ['to the first cell', ['Control+Home'], { row: 0, column: 0 }],
    ['to the last cell', ['Control+Home', 'Control+End'], { row: 3, column: 0 }],
  ])('moves %s', (_, keys, place) => expect(walk(...keys)).toEqual(place));

  test('finds the module of a cell', () => {
    expect(moduleAt(grid, { row: 1, column: 1 })).toBe(names.indexOf('m.layers.0.k_proj'));
    expect(moduleAt(grid, { row: 0, column: 2 })).toBe(-1);
  });
});

describe('the open cell', () => {
  const state = stateAfter(sourcesEvent(source('/a')), {
    type: 'choose',
    change: { a: { path: '/a', key: '' }, budget: { ...startBudget, r: 2 }, order: 'sorted' },
  });
  const store = createScoreStore();
  store.apply({ path: '/a', key: '' }, [{ name: 'm.layers.0.up', scores: Float32Array.of(1, 4, 2, 3) }]);

  test('shows neurons in the order of the strip, with the selected ones marked', () => {
    const { neurons } = cellContent(makePicture(state, store), 0);
    if (!neurons) throw new Error('no neurons');
    expect([...neurons.isSelected]).toEqual([0, 1, 0, 1]);
    expect(neurons.histogram.threshold).toBe(3);
    expect(neuronFacts(neurons, 0)).toEqual({
      title: 'neuron 1',
      subtitle: 'selected',
      facts: [
        ['score', '4'],
        ['rank', '1 of 4'],
      ],
    });
    expect(neuronSentence(neurons, 3)).toBe('neuron 0, score 1, rank 4 of 4');
    expect(neuronFacts(neurons, 4)).toBeUndefined();
    expect(neurons.sentence).toBe('4 neurons by descending score, 2 selected (50.0%), scores from 1 to 4');
  });

  test('calls columns columns, and shows the shape of the weight', () => {
    const columns = source('/c', { modules: [{ name: 'm.layers.0.up columns', shape: [4, 2], unit: 'columns', rowParameters: 2 }] });
    const chosen = { type: 'choose', change: { a: { path: '/c', key: '' }, order: 'position' } } as const;
    const byColumn = createScoreStore();
    byColumn.apply({ path: '/c', key: '' }, [{ name: 'm.layers.0.up columns', scores: Float32Array.of(1, 4, 2, 3) }]);
    const picture = makePicture(stateAfter(sourcesEvent(columns), chosen), byColumn);
    const { head, neurons } = cellContent(picture, 0);
    if (!neurons) throw new Error('no columns');
    expect(head.facts[0]).toEqual(['shape', '2 × 4']);
    expect(neuronFacts(neurons, 2)?.title).toBe('column 2');
    expect(neurons.sentence).toMatch(/^4 columns by position/);
    expect(neurons.strip.unit).toBe('column');
    expect(cellCsv(picture, 0)).toMatch(/^column,score,/);
  });

  test('a module without scores has figures only', () => {
    const content = cellContent(makePicture(state, store), 1);
    expect(content.neurons).toBeUndefined();
    expect(content.head.title).toBe('layer 1 · up');
  });
});
