/** From groups to rows, columns and elements; group scores against Torch-Pruning's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CoupledGroup, GroupMember, MemberPart } from '../../../trainer/dependency/coupled-groups.ts';
import { coupledGroups } from '../../../trainer/dependency/coupled-groups.ts';
import {
  coupledParts,
  elementsOf,
  groupScores,
  halfBudget,
  selectCoupled,
  trainedGroups,
  wholeRows,
} from '../../../trainer/dependency/coupling.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { ConvSpec, ModuleSpec } from '../../../trainer/model/model-spec.ts';
import { expectClose } from '../../support/closeness.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');
interface Tensor {
  readonly shape: number[];
  readonly data: number[];
}
interface Group {
  readonly root: string;
  readonly members: readonly { readonly module: string; readonly type: string; readonly fn: string }[];
  readonly importance: Readonly<Record<string, number[]>>;
}
const pruning = JSON.parse(readFileSync(join(golden, 'torch_pruning.json'), 'utf8')) as {
  readonly mlp: { readonly state: Record<string, Tensor>; readonly grad: Record<string, Tensor>; readonly groups: Group[] };
  readonly resnet: { readonly groups: Group[] };
};

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
const range = (n: number): number[] => [...Array(n).keys()];

/** Σ of f(place in the flat weight [rows, columns, kernel …]) over one row or one column. */
const sumOver = (shape: readonly number[], part: MemberPart, i: number, f: (place: number) => number): number => {
  const [rows = 1, columns = 1, ...kernel] = shape;
  const size = kernel.reduce((n, d) => n * d, 1);
  return range(rows * columns * size)
    .filter(place => (part === 'columns' ? Math.floor(place / size) % columns : Math.floor(place / (size * columns))) === i)
    .reduce((sum, place) => sum + f(place), 0);
};

describe("Torch-Pruning's group measures", () => {
  const { state, grad, groups } = pruning.mlp;
  const scoring: Record<string, (w: number[], g: number[], shape: number[], part: MemberPart, i: number) => number> = {
    'GroupMagnitudeImportance(p=2,mean,None)': (w, _, shape, part, i) => sumOver(shape, part, i, at => (w[at] as number) ** 2),
    'GroupTaylorImportance(mean,None)': (w, g, shape, part, i) =>
      sumOver(shape, part, i, at => Math.abs((w[at] as number) * (g[at] as number))),
    'GroupTaylorImportance(mean,None,multivariable)': (w, g, shape, part, i) =>
      Math.abs(sumOver(shape, part, i, at => (w[at] as number) * (g[at] as number))),
  };

  test.each(Object.keys(scoring))('of three linear layers: %s', name => {
    for (const { root, members, importance } of groups) {
      const channels = importance[name]?.length ?? 0;
      const own: CoupledGroup = {
        channels,
        members: members.map(({ module, fn }) =>
          member(linear(module, state[`${module}.weight`]?.shape ?? []), fn === 'prune_out_channels' ? 'rows' : 'columns', range(channels)),
        ),
      };
      const found = groupScores(own, ({ module, part }) => {
        const [w, g] = [state[module.weight.name] as Tensor, grad[module.weight.name] as Tensor];
        return Float32Array.from(range(channels), i =>
          (scoring[name] as NonNullable<(typeof scoring)[string]>)(w.data, g.data, w.shape, part, i),
        );
      });
      expectClose([...found], importance[name] ?? [], 1e-5, `${root} ${name}`);
    }
  });

  test('of a ResNet by magnitude, on the groups of its graph', async () => {
    const folder = await openModel(join(golden, 'resnet'));
    const model = loadModel(folder.config, { imageSize: [32, 32] });
    const weights = new Map<string, Float32Array>();
    for (const { weight } of model.modules) weights.set(weight.name, await folder.weights.readFloat32(weight.name));
    await folder.weights.close();
    const own = coupledGroups(model);
    for (const { root, importance } of pruning.resnet.groups) {
      const group = own.find(({ members }) => members.some(({ module, part }) => part === 'rows' && `m.${module.name}` === root));
      if (!group) throw new Error(root);
      const found = groupScores(group, ({ module, part }) => {
        const w = weights.get(module.weight.name) as Float32Array;
        return Float32Array.from(range(group.channels), i => sumOver(module.weight.shape, part, i, at => (w[at] as number) ** 2));
      });
      expectClose([...found], importance['GroupMagnitudeImportance(p=2,mean,None)'] ?? [], 1e-5, root);
    }
  });
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
