/** From groups to rows, columns and elements. */
import { describe, expect, test } from 'vitest';
import type { CoupledGroup, GroupMember, MemberPart } from '../../../trainer/coupling/coupled-groups.ts';
import { coupledParts, elementsOf, halfBudget, selectCoupled, trainedGroups, wholeRows } from '../../../trainer/coupling/coupling.ts';
import type { ConvSpec, ModuleSpec } from '../../../trainer/model/model-spec.ts';

const linear = (name: string, shape: number[]): ModuleSpec => ({
  name,
  kind: 'linear',
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape },
});
const member = (module: ModuleSpec, part: MemberPart, channelOf: number[]): GroupMember => ({
  module,
  part,
  channelOf: Int32Array.from(channelOf),
});

describe('choosing', () => {
  // a has a row a channel, b two rows a channel; c reads both, d only writes beside them.
  const [a, b, c] = [linear('a', [4, 3]), linear('b', [8, 3]), linear('c', [2, 4])];
  const norm: ModuleSpec = { ...linear('norm', [4]), kind: 'norm' };
  const group: CoupledGroup = {
    channels: 4,
    members: [
      member(a, 'rows', [0, 1, 2, 3]),
      member(b, 'rows', [0, 0, 1, 1, 2, 2, 3, 3]),
      member(c, 'columns', [3, 2, 1, 0]),
      member(norm, 'entries', [0, 1, 2, 3]),
    ],
  };
  const scores = new Map([
    ['a', Float32Array.of(1, 5, 2, 0)],
    ['b', Float32Array.of(1, 0, 0, 0, 4, 4, 0, 1)],
  ]);

  test('rows of the best channels, in every member', () => {
    // Channels: (1 + 1)/2, 5/2, (2 + 8)/2, (0 + 1)/2.
    expect(selectCoupled([group], [a, b], scores, { ratio: 0.5 })).toEqual(
      new Map([
        ['a', Int32Array.of(1, 2)],
        ['b', Int32Array.of(2, 3, 4, 5)],
      ]),
    );
    expect(selectCoupled([group], [a, b], scores, { r: 2 }).get('b')).toEqual(Int32Array.of(4, 5));
  });

  test('what goes with them', () => {
    const { columns, entries } = coupledParts([group], selectCoupled([group], [a, b], scores, { ratio: 0.5 }));
    expect(columns).toEqual(new Map([['c', Int32Array.of(1, 2)]]));
    expect(entries).toEqual(new Map([[norm, Int32Array.of(1, 2)]]));
  });

  test('only targets, and norms where they are not frozen', () => {
    const parts = (targets: ModuleSpec[], norms: boolean) =>
      trainedGroups([group], targets, norms).map(({ members }) => members.map(({ module }) => module.name));
    expect(parts([a, c], true)).toEqual([['a', 'c', 'norm']]);
    expect(parts([a, b], false)).toEqual([['a', 'b']]);
    expect(parts([c], true)).toEqual([]);
  });

  test('half the budget, never nothing', () => {
    expect([{ r: 32 }, { r: 1 }, { ratio: 0.05 }].map(halfBudget)).toEqual([{ r: 16 }, { r: 1 }, { ratio: 0.025 }]);
  });
});

describe('elements', () => {
  const places = (module: ModuleSpec, rows: number[], columns: number[]): number[] => [
    ...elementsOf(module, Int32Array.from(rows), Int32Array.from(columns)),
  ];

  test('of rows and columns, each once', () => {
    expect(places(linear('x', [3, 4]), [1], [0, 3])).toEqual([0, 3, 4, 5, 6, 7, 8, 11]);
  });

  test('of a grouped convolution: a channel is read by the rows of its group', () => {
    const conv: ConvSpec = {
      ...linear('x', [4, 2, 1, 2]),
      kind: 'conv',
      window: { strides: [1, 1], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 2 },
    };
    // Input 3 is the second of group 1, whose rows are 2 and 3; a row has 4 elements.
    expect(places(conv, [], [3])).toEqual([10, 11, 14, 15]);
  });

  test('give their rows back', () => {
    const module = linear('x', [5, 4]);
    expect(wholeRows(module, elementsOf(module, Int32Array.of(1, 3), Int32Array.of(0, 2)))).toEqual(Int32Array.of(1, 3));
  });
});
