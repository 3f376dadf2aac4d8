/** Tests the heatmap's texts before there are scores, and for special rows: no error, no NaN, and "trained" only for trained rows. */
import { describe, expect, test } from 'vitest';
import { cellFacts, overlapText, selectionText } from '../../../media/heatmap/cell/cell-facts.ts';
import { makePicture } from '../../../media/heatmap/picture.ts';
import { createScoreStore } from '../../../media/heatmap/score-store.ts';
import { describeSet, settle, startState } from '../../../media/heatmap/view-state.ts';
import type { HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';
import { heatmapSource } from '../../support/pages/heatmap-source.ts';

const source = (change: Partial<HeatmapSourceInfo> = {}): HeatmapSourceInfo => heatmapSource('/a', change);

function pictureOf(info: HeatmapSourceInfo, scored: readonly string[] = []) {
  const store = createScoreStore();
  const rows = new Map(info.modules.map(({ name, shape }) => [name, shape[0] ?? 0]));
  store.apply(
    { path: info.path, key: '' },
    scored.map(name => ({ name, scores: Float32Array.from({ length: rows.get(name) ?? 0 }, (_, i) => i) })),
  );
  return makePicture({ choices: settle(startState, [info]), sources: [info], colorSetting: '' }, store);
}

const everyText = (info: HeatmapSourceInfo, scored?: readonly string[]): string => {
  const picture = pictureOf(info, scored);
  const cells = info.modules.map((_, i) => JSON.stringify(cellFacts(picture, i)));
  return [selectionText(picture), overlapText(picture) ?? '', picture.meaning, picture.problem ?? '', ...cells].join('\n');
};

describe('before there are scores', () => {
  test.each([
    ['nothing is known', source({ sets: [], modules: [], isAwaited: true }), undefined],
    ['the modules are known', source({ isPartial: true }), undefined],
    ['the first module is scored', source({ isPartial: true }), ['m.layers.0.up']],
  ])('%s: no NaN and no problem', (_, info, scored) => {
    expect(everyText(info, scored)).not.toMatch(/NaN|Infinity|undefined/);
    expect(pictureOf(info, scored).problem).toBeUndefined();
  });

  test('a budget that no recipe gives is one that every module has rows for', () => {
    expect(pictureOf(source()).budget).toMatchObject({ kind: 'r', r: 4 });
    expect(pictureOf(source({ budget: { r: 3 } })).budget).toMatchObject({ kind: 'r', r: 3 });
    expect(pictureOf(source({ budget: { ratio: 0.1 }, selectionMode: 'global' })).budget).toMatchObject({
      kind: 'ratio',
      ratio: 0.1,
      mode: 'global',
    });
  });
});

test('a set of scores is named by the label of its measure', () => {
  const info = source({ sets: [{ key: 'ham', measure: 'qm_taylor', className: 'ham' }] });
  expect(describeSet([info], { path: '/a', key: 'ham' })).toBe('a · QMTaylor (class quantiles), class ham');
  expect(pictureOf(source()).meaning).toBe('Taylor: mean score of the rows');
});

describe('what the rows that stand out are called', () => {
  const factNames = (info: HeatmapSourceInfo): string[] => cellFacts(pictureOf(info, ['m.layers.0.up']), 0).facts.map(([name]) => name);

  test('of scores without a run: selected rows', () => {
    expect(factNames(source())).toContain('selected rows');
    expect(factNames(source())).not.toContain('trained rows');
  });

  test('of a run: trained rows, whatever the budget shown', () => {
    const run = source({ kind: 'run', selection: [{ module: 'm.layers.0.up', rows: Int32Array.of(1, 3) }] });
    expect(cellFacts(pictureOf(run, ['m.layers.0.up']), 0).facts).toContainEqual(['trained rows', '2 of 4 (50.0%)']);
    const store = createScoreStore();
    const moved = makePicture(
      {
        choices: { ...settle(startState, [run]), budget: { kind: 'r', r: 1, ratio: 0.1, mode: 'per_layer', least: 1 } },
        sources: [run],
        colorSetting: '',
      },
      store,
    );
    expect(cellFacts(moved, 0).facts).toContainEqual(['selected rows', '1 of 4 (25.0%)']);
  });
});
