/** Tests the drawn and saved picture: selections by the trainer's rule, overlaps, values, tables. */
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { cellFacts, overlapText, selectionText } from '../../../media/heatmap/cell/cell-facts.ts';
import { selectedRows } from '../../../media/heatmap/cell/selection-view.ts';
import { cellCsv, fileName, heatmapCsv, heatmapScene } from '../../../media/heatmap/export-files.ts';
import { incomparableNote, makePicture, randomScoresNote } from '../../../media/heatmap/picture.ts';
import { createScoreStore } from '../../../media/heatmap/score-store.ts';
import {
  type BudgetChoice,
  type HeatmapViewState,
  restoreState,
  settle,
  startBudget,
  startState,
} from '../../../media/heatmap/view-state.ts';
import { toSvg } from '../../../media/shared/scene.ts';
import { elementAt, valueFor } from '../../../trainer/narrow.ts';
import type { HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';
import { createRandom } from '../../../trainer/random.ts';
import { type Budget, selectRows } from '../../../trainer/selection.ts';

const random = createRandom(5);
const NAMES = ['m.layers.0.q_proj', 'm.layers.0.up_proj', 'm.layers.1.q_proj', 'm.layers.1.up_proj', 'lm_head'];
const ROWS = [8, 20, 8, 20, 30];
const shapes = NAMES.map((_, i) => [ROWS[i] as number, 4]);
const makeScores = (): Map<string, Float32Array> =>
  // With ties, as in real scores of rows that never contribute.
  new Map(NAMES.map((name, i) => [name, Float32Array.from({ length: ROWS[i] as number }, () => Math.floor(random.uniform() * 9))]));
const [scoresA, scoresB] = [makeScores(), makeScores()];
const info = (path: string, more: Partial<HeatmapSourceInfo> = {}): HeatmapSourceInfo => ({
  path,
  label: path,
  kind: 'scores',
  sets: [{ key: '', measure: 'taylor' }],
  modules: NAMES.map((name, i) => ({ name, shape: elementAt(shapes, i), rowParameters: 4 })),
  isPartial: false,
  ...more,
});
const sources = [info('a'), info('b')];
const store = createScoreStore();
const listOf = (scores: Map<string, Float32Array>) => [...scores].map(([name, values]) => ({ name, scores: values }));
store.apply({ path: 'a', key: '' }, listOf(scoresA));
store.apply({ path: 'b', key: '' }, listOf(scoresB));
const refs = { a: { path: 'a', key: '' }, b: { path: 'b', key: '' } };
const orderAll = (): void => {
  for (const set of [refs.a, refs.b]) for (const cell of store.of(set).values()) void cell.ranks;
};
const modules = NAMES.map((name, i) => ({ name, weight: { name, shape: elementAt(shapes, i) } }));
const pictureOf = (change: Partial<HeatmapViewState>, from = sources) =>
  makePicture({ choices: { ...startState, ...refs, ...change }, sources: from, colorSetting: 'viridis' }, store);

describe('the selection', () => {
  test.each(['per_layer', 'global', 'proportional'] as const)('is that of the trainer, row by row: %s', mode => {
    orderAll();
    const budgets: Budget[] = [{ r: 1 }, { r: 5 }, { r: 8 }, { ratio: 0.01 }, { ratio: 0.3 }, { ratio: 1 }];
    for (const budget of budgets) {
      const choice: BudgetChoice =
        'ratio' in budget ? { ...startBudget, mode, kind: 'ratio', ratio: budget.ratio } : { ...startBudget, mode, r: budget.r };
      const picture = pictureOf({ budget: choice });
      const expected = selectRows(modules, scoresA, budget, mode);
      for (const [i, name] of NAMES.entries()) {
        const rows = selectedRows(picture.a.get(name), picture.counts[i] as number, undefined, picture.choice);
        expect([...rows].sort((x, y) => x - y)).toEqual([...valueFor(expected, name)]);
      }
      expect(picture.selection.parameters).toBe(4 * [...expected.values()].reduce((sum, rows) => sum + rows.length, 0));
    }
  });

  test.each(['per_layer', 'global', 'proportional'] as const)('is that of the trainer with whole heads too: %s', mode => {
    const blocks = [4, undefined, 4, undefined, undefined];
    const headed = info('heads', { modules: info('a').modules.map((module, i) => ({ ...module, block: blocks[i] })) });
    store.apply(
      { path: 'heads', key: '' },
      listOf(scoresA).map((entry, i) => ({ ...entry, block: blocks[i] })),
    );
    for (const cell of store.of({ path: 'heads', key: '' }).values()) void cell.ranks;
    const picture = pictureOf({ a: { path: 'heads', key: '' }, b: undefined, budget: { ...startBudget, mode, r: 5 } }, [headed]);
    const expected = selectRows(
      modules.map((module, i) => ({ ...module, ...(blocks[i] !== undefined && { block: blocks[i] }) })),
      scoresA,
      { r: 5 },
      mode,
    );
    for (const [i, name] of NAMES.entries()) {
      const rows = selectedRows(picture.a.get(name), picture.counts[i] as number, undefined, picture.choice);
      expect([...rows].sort((x, y) => x - y)).toEqual([...valueFor(expected, name)]);
    }
  });

  test('scores that were drawn at random are not passed off as importance', () => {
    const drawn = info('a', { sets: [{ key: '', measure: 'random' }] });
    expect(randomScoresNote(pictureOf({ b: undefined }, [drawn]))).toMatch(
      /^These rows were chosen at random: .* Rowtune: Compute Importance /,
    );
    const inputs = { ...drawn, modules: drawn.modules.map(module => ({ ...module, unit: 'columns' as const })) };
    expect(randomScoresNote(pictureOf({ b: undefined }, [inputs]))).toMatch(/^These columns /);
    expect(pictureOf({ b: undefined }, [inputs]).meaning).toBe('Random: mean score of the columns');
    expect(randomScoresNote(pictureOf({}))).toBeUndefined();
  });

  test('rows next to columns are said to be apart, and so are other modules', () => {
    const columns = info('b', {
      modules: info('b').modules.map(({ name, ...module }) => ({ ...module, name: `${name} columns`, unit: 'columns' as const })),
    });
    expect(incomparableNote(pictureOf({}, [info('a'), columns]))).toMatch(/^A has rows and B has columns, which cannot be compared/);
    expect(incomparableNote(pictureOf({ a: refs.b, b: refs.a }, [info('a'), columns]))).toMatch(/^A has columns and B has rows/);
    const others = info('b', { modules: info('b').modules.map(module => ({ ...module, name: `x.${module.name}` })) });
    expect(incomparableNote(pictureOf({}, [info('a'), others]))).toMatch(/^A and B have no module in common/);
    expect(incomparableNote(pictureOf({}))).toBeUndefined();
    expect(incomparableNote(pictureOf({ b: undefined }))).toBeUndefined();
  });

  test('the overlap of two choices of columns counts columns', () => {
    const columns = sources.map(each => ({ ...each, modules: each.modules.map(module => ({ ...module, unit: 'columns' as const })) }));
    expect(overlapText(pictureOf({ view: 'overlap' }, columns))).toMatch(/\d+ columns in both/);
    expect(overlapText(pictureOf({ view: 'overlap' }))).toMatch(/\d+ rows in both/);
  });

  test('a budget above the rows of a layer says so in the words of the trainer', () => {
    expect(pictureOf({ budget: { ...startBudget, r: 9 } }).problem).toMatch(/^r 9 is above the rows of 2 layers/);
  });

  test('next to a set of other modules each side has its own budget', () => {
    const few = NAMES.slice(0, 2);
    const small = info('a', { modules: info('a').modules.filter(({ name }) => few.includes(name)) });
    for (const mode of ['per_layer', 'global', 'proportional'] as const) {
      const budget: BudgetChoice = { ...startBudget, mode, kind: 'ratio', ratio: 0.3 };
      const [alone, beside] = [pictureOf({ budget, b: undefined }, [small]), pictureOf({ budget }, [small, info('b')])];
      expect(beside.selection).toEqual(alone.selection);
      expect(beside.isPending).toBe(false);
      expect([...beside.counts]).toEqual([...alone.counts, 0, 0, 0]);
      expect([...(beside.countsB ?? [])]).toEqual([...pictureOf({ budget, a: refs.b, b: undefined }).counts]);
    }
  });

  test('as trained is no choice next to another set of the same run, or one without a run', () => {
    const run = info('a', { kind: 'run', selection: [{ module: elementAt(NAMES, 0), rows: Int32Array.of(2) }], budget: { r: 2 } });
    const trained: BudgetChoice = { ...startBudget, kind: 'trained' };
    const hasTrained = (b: HeatmapViewState['b'], from: HeatmapSourceInfo[]) => pictureOf({ budget: trained, b }, from).hasTrained;
    expect(hasTrained(undefined, [run])).toBe(true);
    expect(hasTrained({ path: 'a', key: 'other' }, [run])).toBe(false);
    expect(hasTrained(refs.b, [run, info('b')])).toBe(false);
    expect(hasTrained(refs.b, [run, { ...run, path: 'b' }])).toBe(true);
    expect(pictureOf({ budget: trained }, [run, info('b')]).choice).toMatchObject({ kind: 'budget' });
  });

  test('of a run has the rows that the run trains', () => {
    const run = info('a', {
      kind: 'run',
      selection: [{ module: elementAt(NAMES, 0), rows: Int32Array.of(2, 5) }],
      budget: { r: 2 },
      modelParameters: 1000,
    });
    const picture = pictureOf({ b: undefined }, [run]);
    expect(picture.budget.kind).toBe('trained');
    expect([...picture.counts]).toEqual([2, 0, 0, 0, 0]);
    expect(selectionText(picture)).toBe('2 of 86 rows (2.3%) · 8 parameters (0.80% of the model)');
  });
});

describe('the overlap', () => {
  test('is Jaccard of the two selections, in each cell and over all', () => {
    orderAll();
    const picture = pictureOf({ view: 'overlap', budget: { ...startBudget, r: 6 } });
    const [chosenA, chosenB] = [selectRows(modules, scoresA, { r: 6 }), selectRows(modules, scoresB, { r: 6 })];
    let [both, either] = [0, 0];
    for (const [i, name] of NAMES.entries()) {
      const [a, b] = [new Set(chosenA.get(name)), new Set(chosenB.get(name))];
      const shared = [...a].filter(row => b.has(row)).length;
      both += shared;
      either += new Set([...a, ...b]).size;
      expect(picture.values[i]).toBeCloseTo(shared / new Set([...a, ...b]).size, 12);
    }
    expect(picture.overall).toEqual({ both, either });
  });

  test('of a selection with itself is 1', () => {
    orderAll();
    expect([...pictureOf({ b: refs.a, view: 'overlap' }).values]).toEqual(NAMES.map(() => 1));
  });

  test('is undefined until the rows are ordered', () => {
    store.apply(refs.a, listOf(scoresA));
    expect(pictureOf({ view: 'overlap' }).overall).toBeUndefined();
  });
});

describe('the picture', () => {
  test('cells without scores have no color, and the others theirs', () => {
    const empty = createScoreStore();
    empty.apply(refs.a, listOf(scoresA).slice(0, 2));
    const picture = makePicture({ choices: { ...startState, a: refs.a }, sources, colorSetting: 'magma' }, empty);
    expect([...picture.positions].map(Number.isNaN)).toEqual([false, false, true, true, true]);
  });

  test('a cell tells layer, module, shape and figures', () => {
    const { title, subtitle, facts } = cellFacts(pictureOf({ b: undefined }), 1);
    expect([title, subtitle]).toEqual(['layer 0 · up', 'm.layers.0.up_proj']);
    expect(Object.fromEntries(facts)).toMatchObject({ shape: '20 × 4', mean: expect.any(String), max: expect.any(String) });
  });
});

describe('what is saved', () => {
  const read = (text: string): Record<string, string>[] => parse(text, { columns: true });

  test('a table has the numbers that were shown', () => {
    const picture = pictureOf({ view: 'difference' });
    const lines = read(heatmapCsv(picture, { a: 'one, "quoted"', b: '=two' }));
    expect(lines.map(line => line.module)).toEqual(NAMES);
    for (const [i, line] of lines.entries()) {
      expect(Number(line.mean)).toBe(picture.a.get(elementAt(NAMES, i))?.mean);
      expect(Number(line.max_b)).toBe(picture.b.get(elementAt(NAMES, i))?.max);
      expect(Number(line.shown)).toBe(picture.values[i]);
      expect(line.scores).toBe('one, "quoted"');
      expect(line.compared_with).toBe("'=two");
    }
  });

  test('the table of a cell gives back every score, its rank and whether it is selected', () => {
    const picture = pictureOf({ b: undefined, budget: { ...startBudget, r: 3 } });
    const lines = read(cellCsv(picture, 4));
    expect(Float32Array.from(lines, line => Number(line.score))).toEqual(scoresA.get('lm_head'));
    const chosen = lines.filter(line => line.selected === '1');
    expect(chosen.map(line => Number(line.rank)).sort()).toEqual([1, 2, 3]);
  });

  test('a picture has a rectangle for each module with its name, escaped, and a safe file name', () => {
    const svg = toSvg(heatmapScene(pictureOf({ b: undefined }), 'a <b> & "c"'));
    for (const name of NAMES) expect(svg).toContain(`<title>${name}: `);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(fileName('../run 1 · taylor (class a/b)', 'png')).toBe('run-1-taylor-class-a-b.png');
    expect(fileName('···', 'csv')).toBe('heatmap.csv');
  });
});

describe('what was chosen', () => {
  test('survives a reload, and nonsense is left out', () => {
    const state: HeatmapViewState = {
      ...startState,
      ...refs,
      view: 'overlap',
      scale: 'rank',
      budget: { ...startBudget, mode: 'global' },
      cell: 'lm_head',
    };
    expect(restoreState(JSON.parse(JSON.stringify(state)))).toEqual({ ...state, colorMap: undefined });
    expect(restoreState({ a: 3, view: 'x', budget: { r: -1 }, cell: {}, isTable: 'yes' })).toMatchObject(startState);
  });

  test('a set that is gone is replaced, and a comparison with one that is gone ends', () => {
    const settled = settle({ ...startState, a: { path: 'gone', key: '' }, b: { path: 'gone', key: '' }, view: 'overlap' }, sources);
    expect(settled).toMatchObject({ a: refs.a, b: undefined, view: 'importance' });
  });
});
