/** Tests the step from scores and a budget to rows. */

import { describe, expect, test } from 'vitest';
import type { ModuleSpec } from '../../trainer/model/module-specs.ts';
import { createRandom } from '../../trainer/random.ts';
import {
  type Budget,
  firstRows,
  type RowsOf,
  rowBudget,
  rowOrder,
  rowParameters,
  SelectionError,
  selectRows,
  topRows,
} from '../../trainer/selection.ts';

const module = (name: string, rows: number): ModuleSpec => ({
  name,
  kind: 'linear',
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape: [rows, 2] },
});
const scores = (...values: number[]): Float32Array => Float32Array.from(values);
const [a, b] = [module('a', 4), module('b', 6)];

describe('the rows', () => {
  test('have the highest scores, in ascending order', () => expect([...topRows(scores(1, 5, 3, 4, 0), 3)]).toEqual([1, 2, 3]));

  test('of equal scores the lower comes first', () => {
    expect([...topRows(scores(2, 2, 2, 2), 2)]).toEqual([0, 1]);
    expect([...topRows(scores(1, 2, 1, 2, 1), 3)]).toEqual([0, 1, 3]);
  });

  test('ascend by number, not by text', () => expect([...topRows(new Float32Array(12).fill(1), 12)]).toEqual([...Array(12).keys()]));

  test('stand in the order that comparing them two by two gives, whatever their sign and size', () => {
    const random = createRandom(7);
    for (const rows of [0, 1, 2, 3000]) {
      const given = Float32Array.from(
        { length: rows },
        () => Math.round((random.uniform() - 0.3) * 500) * 10 ** Math.floor(random.uniform() * 9 - 4) * 1,
      );
      const compared = Array.from(given, (_, row) => row).sort((x, y) => (given[y] as number) - (given[x] as number) || x - y);
      expect([...rowOrder(given)]).toEqual(compared);
    }
  });

  test('are the same for scores in any order of modules', () => {
    const given = new Map([
      ['b', scores(1, 2, 3, 4, 5, 6)],
      ['a', scores(4, 3, 2, 1)],
    ]);
    expect(selectRows([a, b], given, { r: 2 })).toEqual(
      new Map([
        ['a', Int32Array.of(0, 1)],
        ['b', Int32Array.of(4, 5)],
      ]),
    );
  });
});

describe('sections of a module', () => {
  const fused: ModuleSpec = {
    ...module('ab', 10),
    sections: [
      { name: 'a', rows: 4 },
      { name: 'b', rows: 6 },
    ],
  };
  const parts = { a: scores(4, 3, 2, 1), b: scores(1, 2, 3, 4, 5, 6) };
  const given = new Map([...Object.entries(parts), ['ab', scores(...parts.a, ...parts.b)]]);
  const joined = (rows: ReadonlyMap<string, Int32Array>) => [...(rows.get('a') ?? []), ...[...(rows.get('b') ?? [])].map(row => row + 4)];

  test.each([{ r: 2 }, { ratio: 0.5 }])('each section gets the rows that a separate layer would get, with the budget %j', budget => {
    for (const mode of ['per_layer', 'global', 'proportional'] as const)
      expect([...(selectRows([fused], given, budget, mode).get('ab') ?? [])]).toEqual(joined(selectRows([a, b], given, budget, mode)));
    expect([...(firstRows([fused], budget).get('ab') ?? [])]).toEqual(joined(firstRows([a, b], budget)));
    expect(rowBudget(fused, budget)).toBe(rowBudget(a, budget) + rowBudget(b, budget));
  });

  test('a section with too few rows is named', () => {
    expect(() => selectRows([fused], given, { r: 5 })).toThrow('ab.a (4 rows)');
  });
});

describe('the budget', () => {
  test('a ratio is a share of the rows of each layer, rounded, at least one', () => {
    expect([0.5, 0.3, 0.01, 1].map(ratio => rowBudget(b, { ratio }))).toEqual([3, 2, 1, 6]);
    expect([...firstRows([a, b], { ratio: 0.5 }).values()].map(rows => rows.length)).toEqual([2, 3]);
  });

  test('r above the rows of a layer names every such layer and says what to do', () => {
    const many = [a, b, module('c', 3), module('d', 2), module('e', 1)];
    for (const choose of [() => firstRows(many, { r: 5 }), () => selectRows(many, new Map(), { r: 5 })])
      expect(choose).toThrow(
        new SelectionError(
          'r 5 is above the rows of 4 layers: a (4 rows), c (3 rows), d (2 rows), …; set r to 1 or less, leave these layers out of target_modules, or give a ratio',
        ),
      );
    expect(() => firstRows([a], { r: 4 })).not.toThrow();
  });
});

describe('blocks of rows', () => {
  const headed = (name: string, rows: number, block: number, width = 2): RowsOf => ({
    name,
    weight: { name: `${name}.weight`, shape: [rows, width] },
    block,
  });
  const whole = (rows: Int32Array | undefined, block: number): number[] => {
    const found = [...(rows ?? [])];
    const blocks = [...new Set(found.map(row => Math.floor(row / block)))];
    expect(found).toEqual(blocks.flatMap(i => Array.from({ length: block }, (_, j) => i * block + j)));
    return blocks;
  };

  test('go together, by their mean score: one high row does not make a block', () => {
    const given = new Map([['q', scores(9, 0, 4, 6, 2, 2)]]);
    expect([...(selectRows([headed('q', 6, 2)], given, { r: 2 }).get('q') ?? [])]).toEqual([2, 3]);
    expect([...(selectRows([headed('q', 6, 2)], given, { r: 4 }).get('q') ?? [])]).toEqual([0, 1, 2, 3]);
  });

  test('a budget is the nearest whole number of them, at least one', () => {
    const q = headed('q', 12, 4);
    expect([1, 5, 6, 7, 12].map(r => rowBudget(q, { r }))).toEqual([4, 4, 8, 8, 12]);
    expect([0.01, 0.4, 0.6, 1].map(ratio => rowBudget(q, { ratio }))).toEqual([4, 4, 8, 12]);
    expect([...firstRows([q], { r: 5 }).values()]).toEqual([Int32Array.of(0, 1, 2, 3)]);
  });

  test('never cross the sections of a module', () => {
    const fused: RowsOf = { ...headed('qkv', 12, 2), sections: [8, 2, 2].map((rows, i) => ({ name: 'qkv'[i] ?? '', rows })) };
    const given = new Map([['qkv', scores(0, 0, 5, 5, 1, 1, 0, 0, 7, 7, 9, 9)]]);
    expect([...(selectRows([fused], given, { r: 2 }).get('qkv') ?? [])]).toEqual([2, 3, 8, 9, 10, 11]);
  });

  test.each([1, 3, 4])('across layers they are whole, within the budget, and the best: floor of %i rows', least => {
    const random = createRandom(11);
    const modules: readonly RowsOf[] = [headed('q', 24, 4), headed('k', 8, 4), module('up', 20), headed('o', 12, 4, 6)];
    for (let draw = 0; draw < 40; draw++) {
      const given = new Map(
        modules.map(({ name, weight }) => [name, Float32Array.from({ length: weight.shape[0] ?? 0 }, () => random.uniform() ** 3)]),
      );
      const perLayer = modules.reduce((sum, one) => sum + rowParameters(one) * rowBudget(one, { r: 8 }), 0);
      for (const mode of ['global', 'proportional'] as const) {
        const found = selectRows(modules, given, { r: 8 }, mode, least);
        let cost = 0;
        for (const one of modules) {
          const rows = found.get(one.name) ?? new Int32Array();
          cost += rowParameters(one) * rows.length;
          expect(rows.length).toBeGreaterThanOrEqual(Math.min(least, one.weight.shape[0] ?? 0));
          if (one.block === undefined) continue;
          const mean = (i: number) => [0, 1, 2, 3].reduce((sum, j) => sum + (given.get(one.name)?.[i * 4 + j] ?? 0), 0);
          const chosen = new Set(whole(rows, 4));
          const others = Array.from({ length: (one.weight.shape[0] ?? 0) / 4 }, (_, i) => i).filter(i => !chosen.has(i));
          for (const i of chosen) for (const j of others) expect(mean(i)).toBeGreaterThanOrEqual(mean(j) - 1e-6);
        }
        expect(cost).toBeLessThanOrEqual(perLayer);
      }
    }
  });

  test('of size one are single rows', () => {
    const given = new Map([['q', scores(3, 9, 1, 4)]]);
    for (const mode of ['per_layer', 'global', 'proportional'] as const)
      expect(selectRows([headed('q', 4, 1)], given, { r: 2 }, mode)).toEqual(selectRows([module('q', 4)], given, { r: 2 }, mode));
  });
});

describe('across layers', () => {
  // a has rows of 2 + 1 elements, and b of 2; per layer, r 2 trains 2·3 + 2·2 = 10 elements.
  const biased = { ...a, bias: { name: 'a.bias', shape: [4] } };
  const given = new Map([
    ['a', scores(1, 1, 1, 1)],
    ['b', scores(90, 10, 80, 70, 50, 0)],
  ]);

  test('rows go by score over the mean of their layer, for as many parameters', () => {
    // Ranks of b: 1.8, 0.2, 1.6, 1.4, 1.0, 0; of a: 1 each. One row each, 3 + 2; then b's 1.6 and 1.4 for 4 more; the next row of a is too
    // large.
    expect(selectRows([biased, b], given, { r: 2 }, 'global')).toEqual(
      new Map([
        ['a', Int32Array.of(0)],
        ['b', Int32Array.of(0, 2, 3)],
      ]),
    );
  });

  test('the scale of a layer makes no difference, and scores of nothing keep one row', () => {
    const scaled = new Map([
      ['a', scores(1, 1, 1, 1)],
      ['b', scores(9, 1, 8, 7, 5, 0)],
    ]);
    expect(selectRows([biased, b], scaled, { r: 2 }, 'global')).toEqual(selectRows([biased, b], given, { r: 2 }, 'global'));
    const none = new Map([
      ['a', scores(0, 0, 0, 0)],
      ['b', scores(0, 1, 0, 0, 0, 0)],
    ]);
    expect([...selectRows([a, b], none, { r: 1 }, 'global').values()]).toEqual([Int32Array.of(0), Int32Array.of(1)]);
  });

  test.each([{ r: 1 }, { r: 3 }, { ratio: 0.5 }, { ratio: 1 }])('never more parameters than per layer: %j', budget => {
    const count = (selection: ReadonlyMap<string, Int32Array>): number =>
      [biased, b].reduce((sum, module) => sum + rowParameters(module) * (selection.get(module.name)?.length ?? 0), 0);
    const most = count(firstRows([biased, b], budget));
    const found = count(selectRows([biased, b], given, budget, 'global'));
    expect(found).toBeLessThanOrEqual(most);
    expect(found).toBeGreaterThan(most - 3);
  });
});

describe('in proportion to the scores of layers', () => {
  const c = module('c', 10);
  const modules = [a, b, c];
  const masses = (...sums: readonly number[]) =>
    new Map(
      modules.map(({ name, weight: { shape } }, i) => [name, new Float32Array(shape[0] ?? 0).fill((sums[i] ?? 0) / (shape[0] ?? 1))]),
    );
  const counts = (given: ReadonlyMap<string, Float32Array>, budget: Budget, least?: number) =>
    [...selectRows(modules, given, budget, 'proportional', least).values()].map(({ length }) => length);

  test('each has the share of the budget that it has of all scores', () => {
    // Rows of two elements: of 3 · 3 rows, 1, 2 and 6.
    expect(counts(masses(1, 2, 6), { r: 3 })).toEqual([1, 2, 6]);
  });

  test('the best rows of each are taken', () => {
    const given = new Map([...masses(1, 2, 6), ['b', scores(0, 0.5, 0, 0, 1.5, 0)]]);
    expect([...(selectRows(modules, given, { r: 3 }, 'proportional').get('b') ?? [])]).toEqual([1, 4]);
  });

  test('one that would have fewer than the floor has the floor, and the others share the rest', () => {
    expect(counts(masses(0, 2, 5), { r: 3 }, 2)).toEqual([2, 2, 5]);
    // The floor is at most the number of rows per layer.
    expect(counts(masses(0, 1, 1), { r: 3 }, 9)).toEqual([3, 3, 3]);
    expect(counts(masses(0, 1, 1), { r: 1 }, 9)).toEqual([1, 1, 1]);
  });

  test('one that would have more than its rows has all, and the others share the rest', () => {
    expect(counts(masses(1000, 1, 1), { r: 4 })).toEqual([4, 4, 4]);
  });

  test('what rounding leaves goes to the largest parts', () => {
    // Of 6 rows: 0.6, which the floor raises to 1; the others share 5 as 1.67 and 3.33.
    expect(counts(masses(1, 3, 6), { r: 2 })).toEqual([1, 2, 3]);
  });

  test('without any scores it is the budget per layer', () => {
    expect(counts(masses(0, 0, 0), { r: 2 })).toEqual([2, 2, 2]);
  });

  test('rows of another length count by their parameters', () => {
    const wide = { ...b, weight: { name: 'b.weight', shape: [6, 8] } };
    // Per layer 2 · 2 + 2 · 8 = 20 elements: half of them are 5 rows of a, which has 4. The other 12 are enough for one row of b.
    const given = new Map([
      ['a', scores(1, 1, 1, 1)],
      ['b', scores(1, 1, 1, 1, 0, 0)],
    ]);
    expect([...selectRows([a, wide], given, { r: 2 }, 'proportional').values()].map(({ length }) => length)).toEqual([4, 1]);
  });

  test.each([1, 2, 4])('never more parameters than per layer, and hardly fewer: floor %i', least => {
    const random = createRandom(3);
    for (let draw = 0; draw < 50; draw++) {
      const given = new Map(
        modules.map(({ name, weight }) => {
          const size = 10 ** (4 * random.uniform());
          return [name, Float32Array.from({ length: weight.shape[0] ?? 0 }, () => size * random.uniform())];
        }),
      );
      for (const mode of ['global', 'proportional'] as const) {
        const found = [...selectRows(modules, given, { r: 4 }, mode, least).values()];
        expect(found.reduce((sum, { length }) => sum + length, 0)).toBe(12);
        for (const rows of found) expect(rows.length).toBeGreaterThanOrEqual(least);
      }
    }
  });
});

describe('scores that cannot be used', () => {
  test.each<[string, Map<string, Float32Array>, RegExp]>([
    ['missing', new Map(), /no importance score for a; compute the importance of this model again/],
    ['of another model', new Map([['a', scores(1, 2)]]), /a has 4 rows but 2 scores/],
    ['not finite', new Map([['a', scores(1, 2, Number.NaN, 4)]]), /the score of row 2 of a is NaN/],
  ])('%s', (_, given, message) => {
    expect(() => selectRows([a], given, { r: 1 })).toThrow(SelectionError);
    expect(() => selectRows([a], given, { r: 1 })).toThrow(message);
  });
});
